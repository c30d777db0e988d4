//! An extractive summary: the sentences of a text that stand nearest to all its others.
//!
//! `LexRank` over tf-idf vectors finds what is central, a prior prefers sentences that can stand
//! alone, and the choice, as in maximal marginal relevance, shuns repetition. Arithmetic is
//! limited to what IEEE 754 rounds exactly and runs in the text's order, so that a text has the
//! same summary on every machine.

mod candidate;
mod centrality;

use self::candidate::{Candidate, candidates};
use self::centrality::{centrality, similarities};
use super::text::sentences;

/// Comparing all with all is quadratic: of a longer text, only this many of its weightiest
/// sentences compete.
const MOST_COMPARED: usize = 300;
/// Sentences whose cosine is as high say the same: both are chosen only if nothing else is left.
const SAME: f64 = 0.6;

/// The `max_sentences` most salient sentences of `text`, in its order, joined by a space.
///
/// Their words stand as in the text; its line breaks become spaces. A text of no more sentences
/// is its own summary; one that says nothing has an empty one. More than 300 are never chosen.
pub(crate) fn summarize(text: &str, max_sentences: usize) -> String {
    let all = sentences(text);
    if all.len() <= max_sentences {
        return join(&all);
    }
    let candidates = shortlist(candidates(&all));
    let similarity = similarities(&candidates);
    let salience = salience(&candidates, &similarity);
    let mut chosen = choose(&salience, &similarity, max_sentences);
    chosen.sort_unstable();
    join(&chosen.iter().filter_map(|at| Some(candidates.get(*at)?.text)).collect::<Vec<_>>())
}

fn join(sentences: &[&str]) -> String {
    let words = sentences.iter().flat_map(|sentence| sentence.split_whitespace());
    words.collect::<Vec<_>>().join(" ")
}

/// The weightiest, still in the text's order.
fn shortlist(mut candidates: Vec<Candidate<'_>>) -> Vec<Candidate<'_>> {
    let worth = |candidate: &Candidate<'_>| candidate.weight * candidate.fitness;
    let mut worths: Vec<f64> = candidates.iter().map(worth).collect();
    worths.sort_unstable_by(|a, b| b.total_cmp(a));
    if let Some(least) = worths.get(MOST_COMPARED - 1) {
        candidates.retain(|candidate| worth(candidate) >= *least);
        candidates.truncate(MOST_COMPARED);
    }
    candidates
}

/// Centrality times fitness, scaled so that the highest is 1.
fn salience(candidates: &[Candidate<'_>], similarity: &[Vec<f64>]) -> Vec<f64> {
    let central = centrality(similarity);
    let salience: Vec<_> = central.iter().zip(candidates).map(|(c, s)| c * s.fitness).collect();
    let highest = salience.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
    salience.into_iter().map(|one| one / highest).collect()
}

/// One after another, the most salient that least repeats those chosen; of equals the first.
fn choose(salience: &[f64], similarity: &[Vec<f64>], most: usize) -> Vec<usize> {
    let mut gains: Vec<Option<f64>> = salience.iter().copied().map(Some).collect();
    let mut chosen = Vec::new();
    while chosen.len() < most {
        let Some(best) = best(&gains) else { break };
        let likeness = similarity.get(best).into_iter().flatten();
        for ((gain, salience), alike) in gains.iter_mut().zip(salience).zip(likeness) {
            let novelty = (1.0 - alike / SAME).max(0.0);
            *gain = gain.map(|gain| gain.min(salience * novelty));
        }
        gains.get_mut(best).map(Option::take);
        chosen.push(best);
    }
    chosen
}

/// The first of the highest among those still to be had.
fn best(gains: &[Option<f64>]) -> Option<usize> {
    let open = gains.iter().enumerate().filter_map(|(at, gain)| Some((at, (*gain)?)));
    open.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three of its sentences carry it: what was found, why, and what is to be done. The others
    /// are greetings, asides, a question and one repetition.
    const REPORT: &str = "\
The ferry and the harbour

Good evening to all, and thank you for coming. I shall be brief, since the heating has failed. \
The inquiry found that the ferry ran aground because the harbour channel had not been dredged for \
six years. My uncle once kept a boat there. The harbour board had cut the money for dredging the \
channel, although pilots of the ferry warned it twice. As was said, the ferry ran aground because \
the channel had not been dredged. Was anybody hurt? The inquiry asks the harbour board to dredge \
the channel every spring, and to let pilots stop the ferry when the harbour is too shallow. Tea is \
served next door. Umbrellas can be left at the entrance.";

    #[test]
    fn a_summary_has_the_salient_sentences_of_a_report() {
        let summary = summarize(REPORT, 3);
        for part in ["The inquiry found", "had cut the money", "asks the harbour board"] {
            assert!(summary.contains(part), "{part:?} is missing in {summary:?}");
        }
    }

    #[test]
    fn a_summary_is_made_of_whole_sentences_in_the_documents_order() {
        for most in 1..10 {
            let all = sentences(REPORT);
            let summary = summarize(REPORT, most);
            let chosen: Vec<_> = all.iter().copied().filter(|one| summary.contains(one)).collect();
            assert_eq!(summary, chosen.join(" "));
            assert_eq!(chosen.len(), most);
        }
    }

    #[test]
    fn a_summary_does_not_say_the_same_twice() {
        let summary = summarize(REPORT, 4);
        assert_eq!(summary.matches("ran aground").count(), 1, "{summary}");
    }

    #[test]
    fn a_question_or_heading_is_no_summary() {
        let text = "Bees and flowers\n\nWhy do bees need flowers? Bees need the nectar of flowers to \
                    live through winter, and flowers need bees to bear fruit. It rained.";
        assert!(summarize(text, 1).starts_with("Bees need the nectar"));
    }

    #[test]
    fn a_short_text_is_its_own_summary_on_one_line() {
        assert_eq!(summarize("One line\nwrapped. Two.", 3), "One line wrapped. Two.");
        assert_eq!(summarize("no end mark", 1), "no end mark");
    }

    #[test]
    fn nothing_said_or_asked_for_gives_nothing() {
        for text in ["", " \r\n", "\0\0", "...", "!!! --- ???"] {
            assert_eq!(summarize(text, 3), "");
        }
        assert_eq!(summarize(REPORT, 0), "");
    }

    #[test]
    fn the_same_text_has_the_same_summary_each_time() {
        let first = summarize(REPORT, 2);
        assert!((0..20).all(|_| summarize(REPORT, 2) == first));
    }

    #[test]
    fn of_equal_sentences_the_first_is_chosen() {
        let text = "Ant bee cat dog elk fox gnu hen ibis jay. ".repeat(20);
        assert_eq!(summarize(&text, 1), text[..41]);
    }

    #[test]
    fn only_the_weightiest_of_many_sentences_are_compared() {
        let sentence = |n: u32| format!("Word{n} stands by word{}.", n % 7);
        let text = (0..5_000).map(sentence).collect::<Vec<_>>().join(" ");
        let all = sentences(&text);
        assert_eq!(all.len(), 5_000);
        assert_eq!(shortlist(candidates(&all)).len(), MOST_COMPARED);
        assert_eq!(summarize(&text, 10).matches('.').count(), 10);
    }

    #[test]
    fn hostile_texts_are_summarized_within_bounds() {
        let fill = |unit: &str, bytes: usize| unit.repeat(bytes / unit.len());
        let units = [
            "a",
            ".",
            " ",
            "\n",
            "\0",
            "a.",
            "a. ",
            "J. ",
            "A.B. ",
            ". \n",
            "é",
            "日",
            "日。",
            "🎉",
            "e\u{301}",
            "\u{200d}",
            "a\u{300}",
            "\u{1f1e9}",
            "x\n\n",
            "- x\n",
            "!?",
            "\") ",
            "\r\n. (",
        ];
        for unit in units {
            let summary = summarize(&fill(unit, 1 << 16), 3);
            assert!(summary.len() <= 3 * 2_001, "{unit:?} gave {} bytes", summary.len());
        }
        for unit in ["a", "a. ", "\0"] {
            assert!(summarize(&fill(unit, 1 << 20), 3).len() <= 3 * 2_001);
        }
        let spaced = format!("x.{}J. {}", " ".repeat(1 << 19), "J. ".repeat(1 << 17));
        assert!(summarize(&spaced, 1).len() <= 2_000);
    }
}
