//! Servers that are programs of this machine.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use mcp_batch::{clock::Clock, config::Source, error::ErrorClass, secret::Secrets, tool::Catalog};
use mcp_batch_testkit::wait_until;
use serde_json::json;
use tokio::time::sleep;

use super::rig::{SOON, call, text};
use crate::helpers::Folder;

/// A server of the legacy era in the shell's own language: it answers what it is asked in order, says
/// the value of `WHO`, and notes its process id in a file.
const SERVER: &str = r#"
echo $$ >> pids
while read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}; id=${id%%\}*}
  say() { printf '{"jsonrpc":"2.0","id":%s,"result":%s}\n' "$id" "$1"; }
  case "$line" in
    *'"initialize"'*) say '{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"sh","version":"1"}}' ;;
    *'"tools/list"'*) say '{"tools":[{"name":"who","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}},{"name":"environment","inputSchema":{"type":"object"}},{"name":"die","inputSchema":{"type":"object"}},{"name":"blab","inputSchema":{"type":"object"}},{"name":"child","inputSchema":{"type":"object"}}]}' ;;
    *'"name":"die"'*) exit 1 ;;
    *'"name":"blab"'*) printf '{"jsonrpc":"2.0","id":%s,"error":{"code":-32602,"message":"not with %s"}}\n' "$id" "$WHO" ;;
    *'"name":"environment"'*) say "{\"content\":[{\"type\":\"text\",\"text\":\"${HOME:+a home}, ${CARGO_MANIFEST_DIR:-nothing of ours}\"}]}" ;;
    *'"name":"child"'*) sleep 600 & echo $! >> pids; say '{"content":[]}' ;;
    *'"tools/call"'*) say "{\"content\":[{\"type\":\"text\",\"text\":\"$WHO\"}]}" ;;
  esac
done
"#;

/// What the server is told of, and must not be told by us.
const SECRET: &str = "geheim-und-lang";

fn catalog(folder: &Folder) -> Catalog {
    let script = format!("cd {}\n{SERVER}", folder.path("").display());
    let script = folder.write("server.sh", script);
    let toml = format!(
        "[servers.s]\ncommand = [\"sh\", \"{}\"]\nera = \"legacy\"\nenv = {{ WHO = \"secret:NAME\" }}",
        script.display()
    );
    let secrets = Secrets::fixed(Source::of([("NAME".to_owned(), SECRET.to_owned())]));
    let secrets = secrets.expect("sound settings");
    Catalog::parse(&toml, None, &secrets, &Clock::system()).expect("a sound catalog")
}

fn pids(folder: &Folder) -> Vec<u32> {
    let text = fs::read_to_string(folder.path("pids")).unwrap_or_default();
    text.lines().map(|line| line.parse().expect("a process id")).collect()
}

fn is_running(pid: u32) -> bool {
    let status = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"));
    status.is_ok_and(|status| !status.contains(") Z "))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_started_once_and_ends_with_all_that_it_started() {
    let folder = Folder::new();
    let catalog = catalog(&folder);
    for _ in 0..5 {
        let outcome = call(&catalog, "who", &json!({})).await.expect("a result");
        assert_eq!(outcome.result, text(SECRET));
    }
    call(&catalog, "child", &json!({})).await.expect("a result");
    let pids = pids(&folder);
    assert_eq!(pids.len(), 2, "the server and its child");
    assert!(pids.iter().all(|pid| is_running(*pid)));

    drop(catalog);
    wait_until("both have ended", || !pids.iter().any(|pid| is_running(*pid))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_given_what_it_needs_to_start_and_nothing_else_of_our_environment() {
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "it is in ours");
    let folder = Folder::new();
    let outcome = call(&catalog(&folder), "environment", &json!({})).await.expect("a result");
    assert_eq!(outcome.result, text("a home, nothing of ours"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_died_is_started_again() {
    let folder = Folder::new();
    let catalog = catalog(&folder);
    let failure = call(&catalog, "die", &json!({})).await.expect_err("it died");
    assert_eq!((failure.error.class, failure.is_ambiguous), (ErrorClass::Transient, true));
    let outcome = call(&catalog, "who", &json!({})).await.expect("a result");
    assert_eq!(outcome.result, text(SECRET));
    assert_eq!(pids(&folder).len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_keeps_dying_is_not_started_again_at_once() {
    let folder = Folder::new();
    let catalog = catalog(&folder);
    call(&catalog, "die", &json!({})).await.expect_err("it died");
    call(&catalog, "die", &json!({})).await.expect_err("it was started again, and died");
    for _ in 0..50 {
        let failure = call(&catalog, "who", &json!({})).await.expect_err("it is left alone");
        assert_eq!(failure.error.class, ErrorClass::Transient);
        assert!(!failure.is_ambiguous && failure.retry_after.is_some(), "{failure:?}");
    }
    assert_eq!(pids(&folder).len(), 2, "a start after a death, and none in vain");
    let comes_back = async || call(&catalog, "who", &json!({})).await.is_ok();
    let until = Instant::now() + SOON;
    while !comes_back().await {
        assert!(Instant::now() < until, "it is started again after a pause");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(pids(&folder).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_programs_secrets_are_not_told_with_its_errors() {
    let folder = Folder::new();
    let failure = call(&catalog(&folder), "blab", &json!({})).await.expect_err("it is refused");
    assert_eq!(&*failure.error.code, "invalid_params");
    let told = format!("{failure:?}");
    assert!(told.contains("not with [key]") && !told.contains(SECRET), "{told}");
}

#[tokio::test]
async fn a_program_that_cannot_be_started_is_nobodys_fault() {
    let secrets = Secrets::fixed(Source::default()).expect("sound settings");
    let toml = "[servers.s]\ncommand = [\"no-such-program-anywhere\"]";
    let catalog = Catalog::parse(toml, None, &secrets, &Clock::system()).expect("a sound catalog");
    let failure = call(&catalog, "who", &json!({})).await.expect_err("there is none");
    assert_eq!(
        (failure.error.class, &*failure.error.code),
        (ErrorClass::Configuration, "not_started")
    );
    assert!(failure.error.message.contains("no-such-program-anywhere"), "{failure:?}");
}
