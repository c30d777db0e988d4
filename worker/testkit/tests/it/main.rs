//! The stand-ins, as seen by a client on a plain socket.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod aws;

mod aws_proxy;

mod client;

mod event_source;

mod fake_aws;

mod fake_llm_binary;

mod function;

mod llm;

mod ministack;

mod receiver;

mod runtime_api;
