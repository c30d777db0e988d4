//! One connection for all: made once, healed once, left alone for a while when it fails.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use mcp_batch::{error::ErrorClass, tool::Tools};
use mcp_batch_testkit::{FakeMcp, LostSession, McpEra, ModernMcp, wait_until};
use serde_json::json;
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{sleep, timeout},
};

use super::rig::{SOON, call, catalog, job, text};

/// How a hundred calls at once end: whether each got its answer.
async fn a_hundred(catalog: &Arc<mcp_batch::tool::Catalog>, tool: &'static str) -> usize {
    let mut calls = JoinSet::new();
    for n in 0..100 {
        let catalog = Arc::clone(catalog);
        calls.spawn(async move {
            let outcome = call(&catalog, tool, &json!({"text": n.to_string()})).await;
            outcome.is_ok_and(|outcome| outcome.result == text(&n.to_string()))
        });
    }
    let ended = timeout(SOON, calls.join_all()).await.expect("no call waits for ever");
    ended.into_iter().filter(|answered| *answered).count()
}

#[tokio::test]
async fn a_hundred_jobs_at_once_share_one_handshake_and_one_list() {
    for era in [McpEra::Legacy, McpEra::Modern] {
        let server = FakeMcp::builder().era(era).start().await;
        let catalog = Arc::new(catalog(&server.url(), ""));
        assert_eq!(a_hundred(&catalog, "echo").await, 100);
        let handshakes = match era {
            McpEra::Modern => server.count("server/discover"),
            _ => server.count("initialize"),
        };
        assert_eq!((handshakes, server.count("tools/list")), (1, 1), "{era:?}");
    }
}

#[tokio::test]
async fn a_lost_session_is_made_anew_once_for_all_however_the_server_says_it() {
    for lost in [LostSession::NotFound, LostSession::WithoutId] {
        let server = FakeMcp::builder().lost_session(lost).start().await;
        let catalog = Arc::new(catalog(&server.url(), ""));
        assert_eq!(a_hundred(&catalog, "echo").await, 100);
        for lost_sessions in 1..=3 {
            server.forget_sessions();
            assert_eq!(a_hundred(&catalog, "echo").await, 100, "{lost:?}");
            assert_eq!(server.count("initialize"), 1 + lost_sessions, "{lost:?}");
        }
    }
}

#[tokio::test]
async fn the_era_of_a_server_is_found_out_and_can_be_set() {
    let legacy = FakeMcp::start().await;
    call(&catalog(&legacy.url(), ""), "echo", &json!({})).await.expect("it is asked first");
    assert_eq!((legacy.count("server/discover"), legacy.count("initialize")), (1, 1));
    call(&catalog(&legacy.url(), "era = \"legacy\""), "echo", &json!({})).await.expect("set");
    assert_eq!((legacy.count("server/discover"), legacy.count("initialize")), (1, 2));
    let wrong = call(&catalog(&legacy.url(), "era = \"modern\""), "echo", &json!({})).await;
    assert_eq!(wrong.expect_err("it is not").error.class, ErrorClass::Configuration);
}

#[tokio::test]
async fn a_server_that_leaves_the_question_for_its_era_unanswered_is_taken_for_a_legacy_one() {
    let silent = FakeMcp::builder().era(McpEra::Silent).start().await;
    let catalog = catalog(&silent.url(), "connect_timeout_s = 4");
    let outcome = timeout(SOON, call(&catalog, "echo", &json!({"text": "tea"}))).await;
    assert_eq!(outcome.expect("it ends").expect("it is spoken to").result, text("tea"));
    assert_eq!((silent.count("server/discover"), silent.count("initialize")), (1, 1));
}

#[tokio::test]
async fn a_server_that_refuses_the_newest_revision_is_spoken_to_in_one_that_both_know() {
    let server = ModernMcp::start_with_sessions().await;
    let catalog = catalog(&server.url(), "");
    let outcome = call(&catalog, "echo", &json!({"text": "tea"})).await.expect("it is -32022");
    // The question for the revision, and the one session.
    assert_eq!((outcome.result, server.sessions()), (text("tea"), 2));
}

#[tokio::test]
async fn a_server_that_knows_none_of_our_revisions_is_a_matter_of_the_catalog() {
    for era in ["auto", "modern", "legacy"] {
        let server = FakeMcp::builder().era(McpEra::Future).start().await;
        let catalog = catalog(&server.url(), &format!("era = \"{era}\""));
        let failure = call(&catalog, "echo", &json!({})).await.expect_err("nobody knows it");
        let (class, code) = (failure.error.class, &*failure.error.code);
        assert_eq!(class, ErrorClass::Configuration, "{era}: {failure:?}");
        assert!(["protocol_version", "mcp_32022"].contains(&code), "{era}: {code}");
        assert_eq!(server.count("tools/call"), 0);
    }
}

#[tokio::test]
async fn a_server_that_answers_anything_to_everything_needs_its_era_to_be_set() {
    let vague = FakeMcp::builder().era(McpEra::Vague).start().await;
    let failure =
        call(&catalog(&vague.url(), ""), "echo", &json!({})).await.expect_err("who is it");
    assert_eq!(failure.error.class, ErrorClass::Configuration);
    assert!(failure.error.message.contains("era"), "{}", failure.error.message);
    let outcome = call(&catalog(&vague.url(), "era = \"legacy\""), "echo", &json!({})).await;
    outcome.expect("it is of that era");
}

#[tokio::test]
async fn a_server_that_is_down_is_not_asked_by_every_job() {
    let mut server = ModernMcp::start().await;
    let url = server.url();
    server.stop().await;
    let catalog = Arc::new(catalog(&url, ""));
    assert_eq!(a_hundred(&catalog, "echo").await, 0);
    let failure = call(&catalog, "echo", &json!({})).await.expect_err("it is down");
    assert_eq!(failure.error.class, ErrorClass::Transient);
    assert!(failure.retry_after.is_some(), "and says when somebody looks again");
}

#[tokio::test]
async fn a_restart_of_a_server_without_sessions_costs_the_calls_that_ran_and_no_more() {
    let mut server = ModernMcp::start().await;
    let catalog = Arc::new(catalog(&server.url(), ""));
    assert_eq!(a_hundred(&catalog, "echo").await, 100);
    server.restart().await;
    assert_eq!(a_hundred(&catalog, "echo").await, 100);
    assert_eq!(server.lists(), 0, "nothing was asked again");
}

#[tokio::test]
async fn what_is_no_mcp_server_is_a_matter_of_the_catalog() {
    let page = mcp_batch_testkit::Receiver::start().await;
    let failure =
        call(&catalog(&page.url("/mcp"), ""), "echo", &json!({})).await.expect_err("no MCP server");
    assert_eq!(failure.error.class, ErrorClass::Configuration, "{failure:?}");
}

/// Drops its first connections, and is silent on those after them.
async fn failing_then_silent() -> (String, Arc<AtomicBool>, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("its address"));
    let (is_silent, kept) = (Arc::<AtomicBool>::default(), Arc::<AtomicUsize>::default());
    let server = (url, Arc::clone(&is_silent), Arc::clone(&kept));
    tokio::spawn(async move {
        let mut silent = Vec::new();
        loop {
            let (connection, _) = listener.accept().await.expect("a connection");
            if is_silent.load(SeqCst) {
                silent.push(connection);
                kept.store(silent.len(), SeqCst);
            }
        }
    });
    server
}

#[tokio::test]
async fn a_server_that_failed_and_is_silent_now_holds_up_nobody_else_for_long() {
    let (url, is_silent, kept) = failing_then_silent().await;
    let catalog = Arc::new(catalog(&url, "connect_timeout_s = 600"));
    let job = job("echo", &json!({}));
    catalog.prepare(&job).await.expect_err("it is not there");
    is_silent.store(true, SeqCst);
    let (other, its_job) = (Arc::clone(&catalog), job.clone());
    let connecting = tokio::spawn(async move {
        while other.prepare(&its_job).await.is_err() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    wait_until("it is connected to again", || kept.load(SeqCst) > 0).await;
    let told = timeout(Duration::from_secs(1), catalog.prepare(&job)).await.expect("soon");
    assert_eq!(told.expect_err("it is silent").error.code, "connecting");
    connecting.abort();
}
