//! What a run of the tests leaves behind for `scripts/logs`, in the folder that it names: what the
//! programs under test logged, and what must not be in it, which is whatever the stand-ins were sent as
//! input, result or key.

use std::{
    env,
    fs::{File, OpenOptions},
    io::{self, Write},
    path::PathBuf,
    process,
    sync::{
        LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use serde_json::{Value, json};

use crate::server::{Received, lock};

/// The folder; without it nothing is kept.
const FOLDER: &str = "MCP_BATCH_TEST_LOGS";

/// What is shorter may be anywhere by chance.
const LEAST_CHARS: usize = 12;

/// As much of a text as it takes to find it again.
const MOST_CHARS: usize = 200;

static SECRETS: LazyLock<Option<Mutex<File>>> = LazyLock::new(|| open("secrets").map(Mutex::new));

fn open(kind: &str) -> Option<File> {
    static FILES: AtomicUsize = AtomicUsize::new(0);
    let number = FILES.fetch_add(1, Relaxed);
    let name = format!("{kind}-{}-{number}", process::id());
    let path = PathBuf::from(env::var_os(FOLDER)?).join(name);
    let file = OpenOptions::new().create_new(true).append(true).open(&path);
    Some(file.expect("a file in the folder of logs"))
}

/// A log that is being written, of a program of this kind; what is written nowhere if none is kept.
pub fn log_of(kind: &str) -> Box<dyn Write + Send> {
    match open(&format!("log-{kind}")) {
        Some(file) => Box::new(file),
        None => Box::new(io::sink()),
    }
}

/// Keeps what a stand-in was sent: prompts, arguments of tools, results and keys.
pub(crate) fn note(request: &Received) {
    let Some(file) = &*SECRETS else { return };
    let mut secrets = Vec::new();
    let key = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
    secrets.extend(key.map(|key| ("key", key.to_owned())));
    if let Ok(body) = serde_json::from_slice::<Value>(request.body()) {
        let messages = body["messages"].as_array().into_iter().flatten();
        messages.for_each(|message| texts(&message["content"], "input", &mut secrets));
        texts(&body["params"]["arguments"], "input", &mut secrets);
        texts(&body["data"]["result"], "result", &mut secrets);
        let results = body["data"]["results"].as_array().into_iter().flatten();
        results.for_each(|it| texts(&it["result"], "result", &mut secrets));
    }
    let mut lines = Vec::new();
    for (kind, text) in secrets {
        lines.extend(json!({"kind": kind, "text": text}).to_string().into_bytes());
        lines.push(b'\n');
    }
    if !lines.is_empty() {
        lock(file).write_all(&lines).expect("the folder of logs takes it");
    }
}

/// Every line of every text in a value.
fn texts(value: &Value, kind: &'static str, secrets: &mut Vec<(&'static str, String)>) {
    match value {
        Value::String(text) => {
            let lines = text.lines().map(str::trim);
            let telling = lines.filter(|line| line.chars().count() >= LEAST_CHARS);
            secrets.extend(telling.map(|line| (kind, line.chars().take(MOST_CHARS).collect())));
        }
        Value::Array(items) => items.iter().for_each(|item| texts(item, kind, secrets)),
        Value::Object(fields) => fields.values().for_each(|item| texts(item, kind, secrets)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
