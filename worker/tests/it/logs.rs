//! What is logged is kept for `scripts/logs`, which looks in it for what must not be there. It knows from
//! these canaries that it sees the logs of commands and of this process.

use crate::helpers::{Folder, log_this_process};

#[tokio::test]
async fn what_a_command_says_is_kept() {
    let ended = Folder::new().run("canary-of-a-command").finish().await;
    assert!(ended.code == Some(2) && ended.stderr.contains("canary-of-a-command"), "{ended:?}");
}

#[test]
fn what_the_library_logs_in_this_process_is_kept() {
    log_this_process();
    tracing::warn!(target: "mcp_batch::logs", "canary-of-a-process");
}
