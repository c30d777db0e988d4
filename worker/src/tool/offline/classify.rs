//! A keyword classifier: the category whose words, or words akin to them, a text has most of.

mod lexicon;
mod passage;
mod profile;

use std::collections::HashMap;

use self::passage::Passage;
use self::profile::{Phrase, Profile};
use super::text::words;

/// Names of the category that takes what no other one claims.
#[rustfmt::skip]
const CATCH_ALL: &[&str] = &[
    "other", "others", "none", "unknown", "general", "neutral", "misc", "miscellaneous", "ham",
    "normal", "uncategorized", "unclear", "legitimate",
];

/// The category that fits `text` best: the earliest of equals; where nothing matches, one named
/// like "other" or "not spam", or else the first. `None` only if there are no categories.
pub(crate) fn classify<'c>(text: &str, categories: &'c [String]) -> Option<&'c str> {
    let profiles: Vec<Profile> = categories.iter().map(|name| profile(name)).collect();
    let rivals = rivals(&profiles);
    let passage = Passage::read(text);
    let mut best: Option<(f64, &String)> = None;
    for (profile, name) in profiles.iter().zip(categories) {
        let score = profile.score(&passage, &rivals);
        if score > best.map_or(0.0, |(highest, _)| highest) {
            best = Some((score, name));
        }
    }
    let fitting = best.map(|(_, name)| name);
    let catch_all = || categories.iter().find(|name| is_catch_all(&name_words(name)));
    fitting.or_else(catch_all).or_else(|| categories.first()).map(String::as_str)
}

fn profile(category: &str) -> Profile {
    let name = name_words(category);
    if is_negated(&name) {
        return Profile::default();
    }
    Profile::of(&name)
}

/// Whether a name says only what the category is not: "other", "general inquiry", "not spam".
fn is_catch_all(name: &[String]) -> bool {
    name.first().is_some_and(|first| is_catch_all_word(first)) || is_negated(name)
}

fn is_catch_all_word(word: &str) -> bool {
    CATCH_ALL.contains(&word)
}

fn is_negated(name: &[String]) -> bool {
    name.first().is_some_and(|first| matches!(first.as_str(), "not" | "no" | "non"))
}

/// `bug_report`, `BugReport` and "Bug report" all give "bug", "report".
fn name_words(name: &str) -> Vec<String> {
    let mut spaced = String::new();
    let mut after_lowercase = false;
    for letter in name.chars().take(256) {
        if after_lowercase && letter.is_uppercase() {
            spaced.push(' ');
        }
        after_lowercase = letter.is_lowercase();
        spaced.push(letter);
    }
    words(&spaced).collect()
}

/// How many of the categories claim a phrase.
fn rivals(profiles: &[Profile]) -> HashMap<&Phrase, f64> {
    let mut claims = HashMap::new();
    for (phrase, _) in profiles.iter().flat_map(|profile| &profile.phrases) {
        *claims.entry(phrase).or_insert(0.0) += 1.0;
    }
    claims
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str, categories: &[&str]) -> String {
        let categories: Vec<String> = categories.iter().map(|name| (*name).to_owned()).collect();
        classify(text, &categories).unwrap_or("no category").to_owned()
    }

    const DESK: &[&str] = &["billing", "bug report", "feature_request", "other"];
    const MOOD: &[&str] = &["positive", "negative", "neutral"];

    #[test]
    fn a_text_goes_where_its_words_belong() {
        assert_eq!(class("You charged my card twice.", DESK), "billing");
        assert_eq!(class("The app crashes when I open a photo.", DESK), "bug report");
        assert_eq!(class("Please add a dark mode!", DESK), "feature_request");
    }

    #[test]
    fn a_category_that_no_table_knows_is_found_by_its_own_words() {
        let garden = ["beekeeping", "RoseGrowing", "pond_fish"];
        assert_eq!(class("Our roses have black spots.", &garden), "RoseGrowing");
        assert_eq!(class("A heron took two of the fishes.", &garden), "pond_fish");
    }

    #[test]
    fn a_denied_opinion_is_the_opposite_opinion() {
        assert_eq!(class("The food was not good.", MOOD), "negative");
        assert_eq!(class("I never had a problem with it.", MOOD), "positive");
        assert_eq!(class("Not today. Great soup!", MOOD), "positive");
    }

    #[test]
    fn half_a_name_is_not_the_name() {
        let text = "The monthly report is wrong: the invoice was paid by card.";
        assert_eq!(class(text, &["bug report", "billing"]), "billing");
    }

    #[test]
    fn a_denied_subject_stays_the_subject() {
        assert_eq!(class("I have not received an invoice.", DESK), "billing");
    }

    #[test]
    fn what_matches_nothing_goes_to_the_catch_all_or_the_first() {
        assert_eq!(class("Qwerty.", DESK), "other");
        assert_eq!(class("Qwerty.", MOOD), "neutral");
        assert_eq!(class("Qwerty.", &["spam", "not spam"]), "not spam");
        assert_eq!(class("Qwerty.", &["General inquiry", "billing"]), "General inquiry");
        assert_eq!(class("Qwerty.", &["red", "green"]), "red");
        assert_eq!(class("", &["red", "green"]), "red");
    }

    #[test]
    fn of_equals_the_earliest_wins() {
        assert_eq!(class("green and red", &["red", "green"]), "red");
        assert_eq!(class("red and green", &["green", "red"]), "green");
        assert_eq!(class("red", &["red", "red"]), "red");
    }

    #[test]
    fn saying_a_word_often_does_not_outweigh_saying_more() {
        let text = format!("{} The invoice charged my card twice.", "Crash! ".repeat(50));
        assert_eq!(class(&text, &["bug", "billing"]), "billing");
    }

    #[test]
    fn without_categories_there_is_no_answer() {
        assert_eq!(classify("anything", &[]), None);
    }

    #[test]
    fn odd_names_and_texts_do_no_harm() {
        let odd = ["", " ", "\0", "___", "日本", "not", "🎉", "the"];
        for text in ["", "\0", "not", "日本語のテキスト", "🎉🎉", "the the the"] {
            assert!(odd.contains(&class(text, &odd).as_str()));
        }
        assert_eq!(class("日本", &["韓国", "日本"]), "日本");
        assert_eq!(class(&"a".repeat(1 << 20), MOOD), "neutral");
        assert_eq!(class(&"not ".repeat(1 << 18), &["yes", "no"]), "no");
    }
}
