//! The program `fake-llm`.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::client::ask;

#[test]
fn it_prints_its_url_and_answers_there() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_fake-llm"))
        .args(["--port", "0", "--latency-ms", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut url = String::new();
    let stdout = program.stdout.take().expect("its output is piped");
    BufReader::new(stdout).read_line(&mut url).expect("it prints a line");

    let answer = ask(url.trim_end(), "hello");
    program.kill().expect("it can be killed");
    program.wait().expect("it ends");
    assert_eq!(answer.text(), "Echo: hello");
}

#[test]
fn wrong_flags_are_told_with_the_usage() {
    for (arguments, told) in [
        (&["--prot", "1"][..], "unknown argument `--prot`"),
        (&["--port"], "--port needs a number"),
        (&["--latency-ms", "soon"], "--latency-ms needs a number, not `soon`"),
    ] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_fake-llm")).args(arguments).output().expect("it runs");
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2));
        assert!(error.contains(told) && error.contains("Usage: fake-llm"), "{error}");
    }
}
