//! Where a text says a phrase, and where it denies it.

use std::collections::HashMap;

use crate::tool::offline::text::{sentences, stem, words};

/// What a text is about shows in its beginning; the rest of a long one is not read.
const MOST_WORDS: usize = 10_000;
/// So many words before an opinion can turn it round: "not at all a good", "never once helpful".
const NEGATION_REACH: usize = 3;

#[rustfmt::skip]
const NEGATIONS: &[&str] = &[
    "not", "no", "never", "cannot", "without", "hardly", "barely", "neither", "nor", "nothing",
    "none", "nobody", "isnt", "wasnt", "dont", "didnt", "doesnt", "cant", "wont",
];

/// A text, ready to be asked where a phrase stands in it.
pub(super) struct Passage {
    words: Vec<Word>,
    places: HashMap<String, Vec<usize>>,
}

struct Word {
    stem: String,
    negates: bool,
    /// A phrase or a negation does not reach from one sentence into the next.
    sentence: usize,
}

impl Passage {
    pub(super) fn read(text: &str) -> Self {
        let read = |(sentence, text)| {
            words(text).map(move |w| Word { stem: stem(&w), negates: negates(&w), sentence })
        };
        let all = sentences(text).into_iter().enumerate().flat_map(read);
        let words: Vec<Word> = all.take(MOST_WORDS).collect();
        let mut places: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, word) in words.iter().enumerate() {
            places.entry(word.stem.clone()).or_default().push(at);
        }
        Self { words, places }
    }

    /// How often a phrase is said, and how often it is denied.
    pub(super) fn count(&self, phrase: &[String]) -> (u32, u32) {
        let (mut plain, mut negated) = (0, 0);
        let places = phrase.first().and_then(|first| self.places.get(first));
        for at in places.into_iter().flatten().filter(|at| self.stands_at(**at, phrase)) {
            *(if self.is_denied(*at) { &mut negated } else { &mut plain }) += 1;
        }
        (plain, negated)
    }

    fn stands_at(&self, at: usize, phrase: &[String]) -> bool {
        self.words.get(at..at + phrase.len()).is_some_and(|here| {
            here.iter().map(|word| &word.stem).eq(phrase)
                && here.first().map(|word| word.sentence) == here.last().map(|word| word.sentence)
        })
    }

    fn is_denied(&self, at: usize) -> bool {
        let sentence = self.words.get(at).map(|word| word.sentence);
        let before = self.words.get(at.saturating_sub(NEGATION_REACH)..at).unwrap_or_default();
        before.iter().any(|word| word.negates && Some(word.sentence) == sentence)
    }
}

fn negates(word: &str) -> bool {
    NEGATIONS.contains(&word) || word.ends_with("n't")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str, phrase: &str) -> (u32, u32) {
        let phrase: Vec<String> = words(phrase).map(|word| stem(&word)).collect();
        Passage::read(text).count(&phrase)
    }

    #[test]
    fn phrases_are_counted_by_their_stems() {
        assert_eq!(count("Charged twice! I was charged twice.", "charge twice"), (2, 0));
        assert_eq!(count("It works. Not broken.", "works not"), (0, 0));
        assert_eq!(count("anything", ""), (0, 0));
    }

    #[test]
    fn a_denial_reaches_a_few_words_and_never_into_the_next_sentence() {
        assert_eq!(count("It isn’t a good idea.", "good"), (0, 1));
        assert_eq!(count("It is not. Good idea.", "good"), (1, 0));
        assert_eq!(count("Not that it matters much to a good cook.", "good"), (1, 0));
    }

    #[test]
    fn the_end_of_a_very_long_text_is_not_read() {
        let text = format!("{} good", "word ".repeat(MOST_WORDS));
        assert_eq!(count(&text, "good"), (0, 0));
    }
}
