//! The Lambda function from outside: the real binary under a modelled Lambda, with a real table and
//! real queues on loopback.
//!
//! | file | what is shown |
//! |---|---|
//! | `cost.rs` | requests and write units a job |
#![expect(clippy::expect_used, reason = "a test that cannot go on must fail")]

mod rig;

mod cost;
