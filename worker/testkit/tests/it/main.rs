//! The stand-ins, as seen by a client on a plain socket.
#![expect(clippy::expect_used, reason = "a test fails by panicking")]

mod client;

mod fake_aws;

mod fake_llm_binary;

mod llm;

mod ministack;

mod receiver;
