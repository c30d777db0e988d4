//! What speaks for a category: its own words, and those of the topics that bear its name.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::lexicon::{TOPICS, Topic};
use super::passage::Passage;
use crate::tool::offline::text::{is_stop_word, stem, words};

/// The words of the category's own name, together: "report" alone makes no "bug report".
const NAMED: f64 = 3.0;
/// A word or phrase that is seldom said of anything else.
const STRONG: f64 = 2.0;
const WEAK: f64 = 1.0;

/// Stems in a row: one for a word, several for a phrase.
pub(super) type Phrase = Vec<String>;

/// What speaks for a category, each phrase once.
#[derive(Default)]
pub(super) struct Profile {
    pub(super) phrases: Vec<(Phrase, f64)>,
    /// Phrases that speak for it when denied; its own, denied, then speak for nothing. Empty for
    /// all but opinions: "can't log in" is about logging in.
    opposite: Vec<(Phrase, f64)>,
}

impl Profile {
    pub(super) fn of(name: &[String]) -> Self {
        let mut profile = Self { phrases: own_phrases(name), opposite: Vec::new() };
        for topic in topics(name) {
            add(&mut profile.phrases, topic);
            if let Some(other) = opposite(topic) {
                add(&mut profile.opposite, other);
            }
        }
        profile
    }

    /// The sum over what the passage has of it. What is said twice counts little more than once,
    /// and what several categories claim counts for each in part.
    pub(super) fn score(&self, passage: &Passage, rivals: &HashMap<&Phrase, f64>) -> f64 {
        let is_opinion = !self.opposite.is_empty();
        let shared = |phrase: &Phrase| rivals.get(phrase).copied().unwrap_or(1.0).max(1.0);
        let for_it = self.phrases.iter().map(|(phrase, weight)| {
            let (plain, negated) = passage.count(phrase);
            weight * saturate(if is_opinion { plain } else { plain + negated }) / shared(phrase)
        });
        let by_denial = self.opposite.iter().map(|(phrase, weight)| {
            let (_, negated) = passage.count(phrase);
            weight * saturate(negated)
        });
        for_it.sum::<f64>() + by_denial.sum::<f64>()
    }
}

/// 0, 1, 1⅓, 1½, … towards 2: a long text wins nothing by repeating itself.
fn saturate(count: u32) -> f64 {
    2.0 * f64::from(count) / f64::from(count.saturating_add(1))
}

fn own_phrases(name: &[String]) -> Vec<(Phrase, f64)> {
    let says_much = |word: &&String| !is_stop_word(word) && !super::is_catch_all_word(word);
    let telling: Vec<&String> = name.iter().filter(says_much).collect();
    let count = u32::try_from(telling.len()).unwrap_or(u32::MAX);
    let mut phrases = Vec::new();
    for word in telling {
        insert(&mut phrases, vec![stem(word)], NAMED / f64::from(count));
    }
    phrases
}

/// The topics that bear the whole name, else those that bear one of its words.
fn topics(name: &[String]) -> Vec<&'static Entry> {
    let stems: Vec<String> = name.iter().map(|word| stem(word)).collect();
    let bearers = |name: &[String]| -> Vec<_> {
        LEXICON.iter().filter(|entry| entry.names.iter().any(|own| own == name)).collect()
    };
    let whole = bearers(&stems);
    if whole.is_empty() { stems.chunks(1).flat_map(bearers).collect() } else { whole }
}

fn opposite(entry: &Entry) -> Option<&'static Entry> {
    let name = entry.topic.opposite?;
    LEXICON.iter().find(|other| other.topic.names.first() == Some(&name))
}

fn add(phrases: &mut Vec<(Phrase, f64)>, entry: &Entry) {
    for (phrase, weight) in &entry.phrases {
        insert(phrases, phrase.clone(), *weight);
    }
}

/// A phrase that is known already keeps its higher weight.
fn insert(phrases: &mut Vec<(Phrase, f64)>, phrase: Phrase, weight: f64) {
    match phrases.iter_mut().find(|(known, _)| *known == phrase) {
        Some((_, known)) => *known = known.max(weight),
        None => phrases.push((phrase, weight)),
    }
}

/// A topic, ready to be compared.
struct Entry {
    topic: &'static Topic,
    names: Vec<Phrase>,
    phrases: Vec<(Phrase, f64)>,
}

/// Read once: stemming all of it takes longer than to classify a text.
static LEXICON: LazyLock<Vec<Entry>> = LazyLock::new(|| TOPICS.iter().map(entry).collect());

fn entry(topic: &'static Topic) -> Entry {
    let weighed = |list: &'static str, weight| list.split(',').map(move |p| (phrase(p), weight));
    Entry {
        topic,
        names: topic.names.iter().map(|name| phrase(name)).collect(),
        phrases: weighed(topic.strong, STRONG).chain(weighed(topic.weak, WEAK)).collect(),
    }
}

pub(super) fn phrase(text: &str) -> Phrase {
    words(text).map(|word| stem(&word)).collect()
}
