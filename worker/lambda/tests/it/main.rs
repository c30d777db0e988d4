//! The Lambda function from outside: the real binary under a modelled Lambda, with a real table and
//! real queues on loopback.
//!
//! | file | what is shown |
//! |---|---|
//! | `cost.rs` | requests and write units a job |
//! | `crashes.rs` | a process killed at each step of a job's life |
//! | `blame.rs` | a job that kills its process, and its neighbours |
//! | `faults.rs` | an AWS that fails often |
//! | `frozen.rs` | nothing runs on between invocations |
#![expect(clippy::expect_used, reason = "a test that cannot go on must fail")]

mod rig;

mod blame;
mod cost;
mod crashes;
mod faults;
mod frozen;
