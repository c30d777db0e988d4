//! Sentences as vectors of weighted stems, and how well each would stand in a summary.

use std::collections::HashMap;

use crate::tool::offline::text::{is_stop_word, stem, words};

/// A sentence that might be chosen, as a vector of its words.
pub(super) struct Candidate<'t> {
    pub(super) text: &'t str,
    /// Ordinals of stems with their weights, sorted; of length 1, or empty.
    pub(super) terms: Vec<(usize, f64)>,
    /// Sum of the weights, before they were scaled to length 1.
    pub(super) weight: f64,
    pub(super) fitness: f64,
}

pub(super) fn candidates<'t>(sentences: &[&'t str]) -> Vec<Candidate<'t>> {
    let (counts, frequencies) = count_terms(sentences);
    let rarity: Vec<f64> = frequencies.iter().map(|f| rarity(*f, sentences.len())).collect();
    let parts = sentences.iter().zip(counts).enumerate();
    parts.map(|(index, (text, counts))| candidate(index, text, &counts, &rarity)).collect()
}

type Counts = Vec<(usize, u32)>;

/// How often each sentence has each stem, and how many sentences have it. Stems are numbered as
/// they come; the map is never iterated, since its order differs from run to run.
fn count_terms(sentences: &[&str]) -> (Vec<Counts>, Vec<usize>) {
    let mut ordinals = HashMap::new();
    let mut frequencies = Vec::new();
    let mut count = |sentence: &&str| {
        let mut terms = Vec::new();
        for word in words(sentence).filter(|word| !is_stop_word(word)) {
            let next = ordinals.len();
            terms.push(*ordinals.entry(stem(&word)).or_insert(next));
        }
        frequencies.resize(ordinals.len(), 0);
        let counts = run_lengths(terms);
        for (term, _) in &counts {
            if let Some(frequency) = frequencies.get_mut(*term) {
                *frequency += 1;
            }
        }
        counts
    };
    (sentences.iter().map(&mut count).collect(), frequencies)
}

fn run_lengths(mut terms: Vec<usize>) -> Counts {
    terms.sort_unstable();
    let runs = terms.chunk_by(|a, b| a == b);
    runs.filter_map(|run| Some((*run.first()?, u32::try_from(run.len()).ok()?))).collect()
}

/// A stem of one sentence links it to none, and one of most sentences says little: log(n / f),
/// damped so that the recurring words of the subject still count.
fn rarity(frequency: usize, sentences: usize) -> f64 {
    1.0 + binary_logarithm(sentences) - binary_logarithm(frequency)
}

/// log2, linear between powers of two: `f64::log2` may differ between platforms in its last digit.
fn binary_logarithm(number: usize) -> f64 {
    let number = u32::try_from(number.max(1)).unwrap_or(u32::MAX);
    let exponent = number.ilog2();
    f64::from(exponent) + f64::from(number) / f64::from(1_u32 << exponent) - 1.0
}

fn candidate<'t>(index: usize, text: &'t str, counts: &Counts, rarity: &[f64]) -> Candidate<'t> {
    let weigh = |(term, count): &(usize, u32)| {
        (*term, f64::from(*count).sqrt() * rarity.get(*term).copied().unwrap_or(0.0))
    };
    let mut terms: Vec<_> = counts.iter().map(weigh).collect();
    let weight = terms.iter().map(|(_, weight)| weight).sum();
    let length = terms.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt();
    for (_, weight) in &mut terms {
        *weight /= length;
    }
    Candidate { text, terms, weight, fitness: fitness(index, text) }
}

/// How well a sentence would stand in a summary, whatever it says.
fn fitness(index: usize, text: &str) -> f64 {
    let index = u32::try_from(index).unwrap_or(u32::MAX);
    let lead = 1.0 + 0.25 / (1.0 + f64::from(index));
    lead * fitness_of_length(text) * fitness_of_end(text) * fitness_of_opening(text)
}

/// Fragments say too little, and a long sentence is near to all others only by its length.
fn fitness_of_length(text: &str) -> f64 {
    let words = f64::from(u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX));
    match words {
        ..10.0 => words / 10.0,
        10.0..35.0 => 1.0,
        _ => (35.0 / words).sqrt(),
    }
}

/// Headings, list items and questions announce what others say.
fn fitness_of_end(text: &str) -> f64 {
    match text.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»', '」']).chars().next_back()
    {
        Some('?' | '？' | '؟') => 0.6,
        Some(last) if last.is_alphanumeric() || last == ':' => 0.5,
        _ => 1.0,
    }
}

/// What begins by pointing back is hard to follow alone.
fn fitness_of_opening(text: &str) -> f64 {
    const POINTS_BACK: &[&str] = &[
        "he",
        "she",
        "it",
        "they",
        "this",
        "that",
        "these",
        "those",
        "such",
        "but",
        "and",
        "so",
        "yet",
        "however",
        "therefore",
        "thus",
        "hence",
        "then",
        "nor",
    ];
    let points_back = words(text).next().is_some_and(|word| POINTS_BACK.contains(&word.as_str()));
    if points_back { 0.85 } else { 1.0 }
}
