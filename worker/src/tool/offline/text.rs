//! Words, stems and stop words: the reading that both offline tools share.
//!
//! Built for English. Text of other scripts is cut into words and compared as it stands.

mod sentences;

pub(super) use sentences::sentences;

use unicode_segmentation::UnicodeSegmentation;

/// What follows in a longer word tells no two words apart, only costs memory.
const LONGEST_WORD: usize = 48;

/// Words that say nothing about the subject. Sorted, for the binary search.
#[rustfmt::skip]
const STOP_WORDS: &[&str] = &[
    "a", "about", "above", "after", "again", "against", "all", "also", "although", "always", "am",
    "among", "an", "and", "another", "any", "are", "aren't", "around", "as", "at", "be", "because",
    "been", "before", "being", "below", "between", "both", "but", "by", "came", "can", "can't",
    "cannot", "come", "could", "couldn't", "did", "didn't", "do", "does", "doesn't", "doing",
    "don't", "down", "during", "each", "either", "else", "ever", "every", "few", "for", "from",
    "further", "get", "give", "given", "go", "got", "had", "has", "have", "having", "he", "her",
    "here", "hers", "herself", "him", "himself", "his", "how", "however", "i", "i'd", "i'll",
    "i'm", "i've", "if", "in", "indeed", "into", "is", "isn't", "it", "it's", "its", "itself",
    "just", "know", "let", "like", "made", "make", "many", "may", "me", "might", "more", "most",
    "much", "must", "my", "myself", "neither", "never", "no", "nor", "not", "nothing", "now", "of",
    "off", "on", "once", "one", "only", "or", "other", "our", "ours", "out", "over", "own",
    "per", "put", "rather", "said", "same", "say", "see", "seem", "shall", "she", "should",
    "shouldn't", "since", "so", "some", "still", "such", "take", "than", "that", "that's", "the",
    "their", "theirs", "them", "themselves", "then", "there", "therefore", "these", "they", "this",
    "those", "though", "through", "thus", "to", "too", "toward", "under", "until", "up", "upon",
    "us", "very", "was", "wasn't", "way", "we", "we'll", "we're", "we've", "well", "were", "what",
    "when", "where", "whether", "which", "while", "who", "whom", "whose", "why", "will", "with",
    "within", "without", "won't", "would", "wouldn't", "yet", "you", "you're", "your", "yours",
];

/// The words of a text in lower case, with plain apostrophes; `snake_case` is two words.
pub(super) fn words(text: &str) -> impl Iterator<Item = String> {
    text.unicode_words().flat_map(|word| word.split('_')).filter(|w| !w.is_empty()).map(lowercase)
}

fn lowercase(word: &str) -> String {
    let straight = |letter| if letter == '’' { '\'' } else { letter };
    word.chars().take(LONGEST_WORD).flat_map(char::to_lowercase).map(straight).collect()
}

pub(super) fn is_stop_word(lowercase: &str) -> bool {
    STOP_WORDS.binary_search(&lowercase).is_ok()
}

/// The part that a word's forms share: `charge`, `charges`, `charged` and `charging` give `charg`.
///
/// A key to compare by, not a word to show. It takes off plural, tense and adverb endings only:
/// `payment` and `pay` stay apart, since cutting further merges words that differ in sense.
pub(super) fn stem(lowercase: &str) -> String {
    let word = lowercase.strip_suffix("'s").unwrap_or(lowercase);
    if word.len() < 3 || !word.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return word.to_owned();
    }
    let mut root = without_ending(&singular(word));
    simplify_end(&mut root);
    root
}

fn singular(word: &str) -> String {
    if let Some(root) = word.strip_suffix("ies").filter(|root| root.len() > 1) {
        return format!("{root}y");
    }
    let sibilant = ["sses", "xes", "ches", "shes", "zes", "oes"];
    if sibilant.iter().any(|end| word.ends_with(end)) {
        return word.strip_suffix("es").unwrap_or(word).to_owned();
    }
    let kept = ["ss", "us", "is"].iter().any(|end| word.ends_with(end));
    let root = if kept { None } else { word.strip_suffix('s') };
    root.unwrap_or(word).to_owned()
}

fn without_ending(word: &str) -> String {
    if let Some(root) = word.strip_suffix("ied").filter(|root| root.len() > 1) {
        return format!("{root}y");
    }
    let stands_alone =
        |root: &&str| root.len() > 2 && root.contains(['a', 'e', 'i', 'o', 'u', 'y']);
    let ed = || word.strip_suffix("ed").filter(|root| !root.ends_with('e'));
    let ly = || word.strip_suffix("ly").filter(|root| root.len() > 3);
    let root = word.strip_suffix("ing").or_else(ed).or_else(ly).filter(stands_alone);
    root.unwrap_or(word).to_owned()
}

/// `cancell` (from `cancelled`) and `cancel`, `charge` and `charg` (from `charging`) must meet.
fn simplify_end(root: &mut String) {
    let last_two = |root: &str| root.bytes().rev().take(2).collect::<Vec<_>>();
    let doubled = |two: &[u8]| matches!(two, [a, b] if a == b && !b"aeiou".contains(a));
    if root.len() > 3 && (root.ends_with('e') || doubled(&last_two(root))) {
        root.pop();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn stop_words_are_sorted_so_that_the_search_finds_them() {
        assert!(STOP_WORDS.is_sorted());
        assert!(is_stop_word("the") && is_stop_word("yours") && !is_stop_word("invoice"));
    }

    #[test]
    fn the_forms_of_a_word_share_a_stem() {
        let families: &[&[&str]] = &[
            &["charge", "charges", "charged", "charging"],
            &["cancel", "cancels", "cancelled", "canceled", "cancelling"],
            &["ship", "ships", "shipped", "shipping"],
            &["bill", "bills", "billed", "billing"],
            &["try", "tries", "tried", "trying"],
            &["delivery", "deliveries"],
            &["crash", "crashes", "crashed", "crashing"],
            &["fee", "fees"],
            &["nation", "nations", "nation's"],
            &["real", "really"],
        ];
        for family in families {
            let stems: BTreeSet<_> = family.iter().map(|word| stem(word)).collect();
            assert_eq!(stems.len(), 1, "{family:?}: {stems:?}");
        }
    }

    #[test]
    fn words_that_only_look_inflected_keep_their_ending() {
        for word in ["need", "speed", "thing", "spring", "status", "apply", "red"] {
            assert_eq!(stem(word), word);
        }
    }

    #[test]
    fn words_are_lowercase_with_plain_apostrophes_and_split_at_underscores() {
        let found: Vec<_> = words("Don’t close feature_request #12, ÉTÉ!").collect();
        assert_eq!(found, ["don't", "close", "feature", "request", "12", "été"]);
    }

    #[test]
    fn a_word_without_end_is_cut() {
        let found: Vec<_> = words(&"a".repeat(1 << 20)).collect();
        assert_eq!(found, ["a".repeat(LONGEST_WORD)]);
    }
}
