//! The loopback AWS.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use mcp_batch_testkit::{MiniStack, wait_until};
use serde_json::json;

use crate::aws::{create_table, dynamo};

#[tokio::test]
async fn what_is_put_into_it_comes_back() {
    let Some(aws) = MiniStack::start().await else { return };
    let table = MiniStack::unique("kept");
    create_table(aws.endpoint(), &table, &json!([]));
    let item = json!({"pk": {"S": "job#1"}, "state": {"S": "done"}});
    dynamo(aws.endpoint(), "PutItem", &json!({"TableName": table, "Item": item}));
    let got = dynamo(
        aws.endpoint(),
        "GetItem",
        &json!({"TableName": table, "Key": {"pk": {"S": "job#1"}}}),
    );
    assert_eq!(got["Item"], item);
}

#[test]
fn two_names_are_never_the_same() {
    assert_ne!(MiniStack::unique("jobs"), MiniStack::unique("jobs"));
}

#[tokio::test]
async fn a_server_of_its_own_ends_when_its_owner_is_killed() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/ministack");
    if Command::new(script).arg("ensure").status().expect("it runs").code() == Some(77) {
        return;
    }
    // A shell that holds the pipe, as a test process would, and tells the endpoint.
    let mut owner = Command::new("bash")
        .args(["-c", "coproc serving { exec \"$0\" serve; }; cat <&\"${serving[0]}\"", script])
        .stdout(Stdio::piped())
        .spawn()
        .expect("bash runs");
    let mut endpoint = String::new();
    let stdout = owner.stdout.take().expect("its output is piped");
    BufReader::new(stdout).read_line(&mut endpoint).expect("it prints its endpoint");
    let address = endpoint.trim_end().trim_start_matches("http://").to_owned();
    assert!(TcpStream::connect(&address).is_ok());

    owner.kill().expect("it can be killed");
    owner.wait().expect("it ends");
    wait_until("nobody listens there", || TcpStream::connect(&address).is_err()).await;
}
