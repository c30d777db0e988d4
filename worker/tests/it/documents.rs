//! The documents name what there is.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// All that people read below a folder, but for what was installed there.
fn texts(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry"));
    let is_text = |path: &Path| {
        let kinds = ["md", "json", "mjs", "tf", "toml", "yaml", "yml"];
        path.extension().and_then(|kind| kind.to_str()).is_some_and(|kind| kinds.contains(&kind))
    };
    let read = |path: PathBuf| fs::read_to_string(&path).map(|text| (path, text));
    let is_ours = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name != "node_modules" && !name.starts_with('.')
    };
    let texts = entries.map(|entry| match entry.path() {
        path if path.is_dir() => match is_ours(&path) {
            true => texts(&path),
            false => Vec::new(),
        },
        path if is_text(&path) => vec![read(path).expect("a text")],
        _ => Vec::new(),
    });
    texts.flatten().collect()
}

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

/// A tool may be called twice where a process dies between its answer and the write, and a callback
/// is delivered at least once.
#[test]
fn nothing_that_people_read_promises_exactly_once() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let folders = ["docs", "n8n-workflows", "terraform", "litellm", "fixtures"];
    let mut all: Vec<_> = folders.iter().flat_map(|folder| texts(&root.join(folder))).collect();
    for page in ["README.md", "CHANGELOG.md"] {
        all.push((page.into(), fs::read_to_string(root.join(page)).expect("a page")));
    }
    assert!(all.len() > 40, "{}", all.len());
    for (path, text) in all {
        let words = text.to_lowercase().replace(['-', '*', '_', '\n'], " ");
        let words = words.split_whitespace().collect::<Vec<_>>().join(" ");
        let promises = words.split(['.', ';', ':']).filter(|sentence| {
            sentence.contains("exactly once") && !sentence.split(' ').any(|word| word == "not")
        });
        assert_eq!(promises.collect::<Vec<_>>(), Vec::<&str>::new(), "{}", path.display());
    }
}
