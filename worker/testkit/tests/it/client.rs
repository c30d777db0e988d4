//! A client on a plain socket: it sees each byte, and hides no broken answer.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::{Value, json};

/// An answer, as far as it came.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    head: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let headers = self.head.lines().filter_map(|line| line.split_once(": "));
        headers.into_iter().find_map(|(key, value)| (key == name).then_some(value))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("a JSON answer")
    }

    pub(crate) fn text(&self) -> String {
        let body = self.json();
        body["choices"][0]["message"]["content"].as_str().expect("a good answer").to_owned()
    }
}

/// Asks an LLM, and reads the answer to its end.
pub(crate) fn ask(base: &str, prompt: &str) -> Answer {
    parse(&read_all(send_prompt(base, prompt))).expect("an answer")
}

/// Sends a prompt, and leaves the answer to be read.
pub(crate) fn send_prompt(base: &str, prompt: &str) -> TcpStream {
    let messages = json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": prompt},
    ]);
    let body = json!({"model": "m", "messages": messages}).to_string();
    send(&format!("{base}/chat/completions"), "x-litellm-call-id: job-1\r\n", &body)
}

/// Posts a body, and leaves the answer to be read.
pub(crate) fn send(url: &str, headers: &str, body: &str) -> TcpStream {
    send_as("POST", url, headers, body)
}

fn send_as(method: &str, url: &str, headers: &str, body: &str) -> TcpStream {
    let (host, path) = url["http://".len()..].split_once('/').expect("a path in the URL");
    let length = body.len();
    let mut stream = TcpStream::connect(host).expect("a connection");
    write!(
        stream,
        "{method} /{path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{headers}content-length: {length}\r\n\r\n{body}"
    )
    .expect("the request is sent");
    stream
}

/// Posts a body, and reads the answer to its end.
pub(crate) fn post(url: &str, headers: &str, body: &str) -> Option<Answer> {
    parse(&read_all(send(url, headers, body)))
}

/// Gets what is there, and reads the answer to its end.
pub(crate) fn get(url: &str) -> Option<Answer> {
    parse(&read_all(send_as("GET", url, "", "")))
}

/// Every byte until the connection is closed.
pub(crate) fn read_all(mut stream: TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => Err(error),
        _ => Ok(()),
    }
    .expect("the server closes the connection");
    bytes
}

/// An answer from its bytes, if there is at least a head.
pub(crate) fn parse(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8(bytes[..end].to_vec()).expect("a head in ASCII");
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut answer = Answer { status, body: bytes[end + 4..].to_vec(), head };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = unchunk(&answer.body);
    }
    Some(answer)
}

fn unchunk(mut chunks: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = chunks.windows(2).position(|window| window == b"\r\n") {
        let length = str::from_utf8(&chunks[..end]).expect("a length in ASCII");
        let length = usize::from_str_radix(length, 16).expect("a length in hexadecimal");
        body.extend_from_slice(&chunks[end + 2..][..length]);
        chunks = &chunks[end + 2 + length + 2..];
    }
    body
}
