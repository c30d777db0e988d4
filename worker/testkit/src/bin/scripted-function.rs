//! A Lambda function that does what its event says: what the model of Lambda is tested with.

#![expect(clippy::expect_used, clippy::print_stderr, reason = "a function that fails must end")]

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;
use std::{env, fs, process, thread};

use serde_json::{Value, json};

fn main() {
    let api = env::var("AWS_LAMBDA_RUNTIME_API").expect("Lambda says where its API is");
    match env::var("START").as_deref() {
        Ok("fail") => {
            let error = json!({"errorType": "NoSecret", "errorMessage": "there is none"});
            ask(&api, "POST", "runtime/init/error", &error.to_string());
            process::exit(1);
        }
        Ok("exit") => process::exit(7),
        Ok("extension") => {
            ask_at(&api, "POST", "/2020-01-01/extension/register", r#"{"events":[]}"#);
        }
        _ => {}
    }
    let at_once = env::var("AWS_LAMBDA_MAX_CONCURRENCY").ok().and_then(|it| it.parse().ok());
    thread::scope(|scope| {
        for _ in 0..at_once.unwrap_or(1) {
            scope.spawn(|| serve(&api));
        }
    });
}

/// Does one thing after another.
fn serve(api: &str) {
    loop {
        let (head, body) = ask(api, "GET", "runtime/invocation/next", "");
        let id = header(&head, "lambda-runtime-aws-request-id");
        let event: Value = serde_json::from_str(&body).expect("an event in JSON");
        let (kind, answer) = act(&event, &head);
        ask(api, "POST", &format!("runtime/invocation/{id}/{kind}"), &answer);
    }
}

/// Does as told. What is answered, and as what.
fn act(event: &Value, head: &str) -> (&'static str, String) {
    let with = &event["with"];
    let always = env::var("DO").unwrap_or_default();
    let answer = match event["do"].as_str().unwrap_or(&always) {
        "answer" => return ("response", with.as_str().unwrap_or_default().to_owned()),
        "fail" => {
            return ("error", json!({"errorType": "Told", "errorMessage": with}).to_string());
        }
        "hang" => {
            eprintln!("hanging");
            loop {
                thread::park();
            }
        }
        "exit" => process::exit(9),
        // Goes on after the answer, unless the process is frozen.
        "tick" => {
            thread::spawn(|| {
                loop {
                    eprintln!("tick");
                    thread::sleep(Duration::from_millis(1));
                }
            });
            json!("it ticks")
        }
        "variable" => json!(env::var(with.as_str().unwrap_or_default()).ok()),
        "open-files" => json!(open_files()),
        "cpus" => json!(cpus()),
        "head" => json!(header(head, with.as_str().unwrap_or_default())),
        _ => event.clone(),
    };
    ("response", answer.to_string())
}

/// How many files may be open, as `/proc` says.
fn open_files() -> Option<String> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    Some(line.split_whitespace().next()?.to_owned())
}

/// Which CPUs it may run on, as `/proc` says.
fn cpus() -> Option<String> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let cpus = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    Some(cpus.trim().to_owned())
}

fn ask(api: &str, method: &str, path: &str, body: &str) -> (String, String) {
    ask_at(api, method, &format!("/2018-06-01/{path}"), body)
}

fn ask_at(api: &str, method: &str, path: &str, body: &str) -> (String, String) {
    let mut stream = TcpStream::connect(api).expect("the API listens");
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nhost: {api}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the API answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an HTTP answer");
    (head.to_owned(), body.to_owned())
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let headers = head.lines().filter_map(|line| line.split_once(": "));
    headers.into_iter().find_map(|(key, value)| (key == name).then_some(value)).unwrap_or_default()
}
