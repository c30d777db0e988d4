//! The function where MiniStack hosts it: the binary zipped as `bootstrap`, run by an event source
//! mapping of MiniStack's own.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use mcp_batch_testkit::{MiniStack, Source as _};
use serde_json::{Map, Value, json};

use super::Rig;

/// Stored, not compressed: nobody waits for a download.
const ZIP: &str =
    "import sys, zipfile; zipfile.ZipFile(sys.argv[2], 'w').write(sys.argv[1], 'bootstrap')";

/// Creates function and mapping. The mapping begins to poll at once.
pub(super) async fn deploy(rig: &Rig, timeout: Duration) {
    let objects = &rig.aws.clients.objects;
    let name = MiniStack::unique("mcp-batch");
    let bucket = MiniStack::unique("code");
    // What is put under no key is the bucket itself.
    objects.put(&bucket, "", Vec::new().into(), &[]).await.expect("a bucket");
    let stored = objects.put(&bucket, "function.zip", zipped().into(), &[]);
    stored.await.expect("the code is stored");

    let variables: Map<String, Value> =
        rig.variables.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    let function = json!({
        "FunctionName": name,
        "Runtime": "provided.al2023",
        "Handler": "bootstrap",
        "Role": "arn:aws:iam::000000000000:role/worker",
        "Timeout": timeout.as_secs(),
        "Code": {"S3Bucket": bucket, "S3Key": "function.zip"},
        "Environment": {"Variables": variables},
    });
    create(rig, "/2015-03-31/functions", &function);
    let mapping = json!({
        "FunctionName": name,
        "EventSourceArn": rig.source.queue().arn(),
        "BatchSize": 10,
        "FunctionResponseTypes": ["ReportBatchItemFailures"],
    });
    create(rig, "/2015-03-31/event-source-mappings/", &mapping);
}

fn zipped() -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let zip = folder.path().join("function.zip");
    // What debuggers want is three quarters of it, and takes longer to store than a client waits.
    let bootstrap = folder.path().join("bootstrap");
    let binary = env!("CARGO_BIN_EXE_mcp-batch-lambda");
    let stripped =
        Command::new("strip").args(["--strip-debug", binary, "-o"]).arg(&bootstrap).status();
    assert!(stripped.is_ok_and(|status| status.success()), "the binary is stripped");
    let zipped = Command::new("python3").args(["-c", ZIP]).args([&bootstrap, &zip]).status();
    assert!(zipped.is_ok_and(|status| status.success()), "the binary is zipped");
    std::fs::read(zip).expect("the zip")
}

/// A plain request: what it takes is too little for an SDK of its own.
fn create(rig: &Rig, path: &str, body: &Value) {
    let host = rig.aws.endpoint().trim_start_matches("http://");
    let body = body.to_string();
    let length = body.len();
    let mut stream = TcpStream::connect(host).expect("MiniStack listens");
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\
         content-type: application/json\r\n\
         authorization: AWS4-HMAC-SHA256 \
         Credential=test/20260101/us-east-1/lambda/aws4_request, SignedHeaders=host, \
         Signature=0\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .expect("the request is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).unwrap_or_default();
    assert!(status.starts_with('2'), "{path}: {answer}");
}
