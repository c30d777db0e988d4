//! The documents name what there is.

use std::{fs, path::Path};

/// All Rust below a folder.
fn sources(folder: &Path) -> String {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let texts = entries.map(|entry| match entry.path() {
        path if path.is_dir() => sources(&path),
        path if path.extension().is_some_and(|kind| kind == "rs") => {
            fs::read_to_string(path).expect("a text")
        }
        _ => String::new(),
    });
    texts.collect()
}

#[test]
fn each_test_that_the_page_on_tests_names_is_there() {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(crate_folder.join("../docs/testing.md")).expect("the page");
    let tests = sources(&crate_folder.join("tests")) + &sources(&crate_folder.join("src"));
    let quoted = page.split('`').skip(1).step_by(2);
    let is_sentence = |words: &&str| {
        words.matches('_').count() >= 3
            && words.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let named: Vec<&str> = quoted.filter(is_sentence).collect();
    assert!(named.len() > 40, "{}", named.len());
    // Those of a contract are generic over the store.
    let is_there =
        |name: &&str| ["(", "<"].iter().any(|end| tests.contains(&format!("fn {name}{end}")));
    let missing = named.into_iter().filter(|name| !is_there(name));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new());
}
