//! The Lambda function from outside: the real binary under a modelled Lambda, with a real table and
//! real queues on loopback.
//!
//! | file | what is shown |
//! |---|---|
//! | `api.rs` | the role `api`: the router behind API Gateway |
//! | `answers.rs` | which messages come back, whatever an event holds |
//! | `deadline.rs` | what becomes of what is not finished when the time is over |
//! | `fifo.rs` | order within a group, groups at once |
//! | `deferrals.rs` | 200 of each kind, and then success |
//! | `origins.rs` | events of another queue than the configured one |
//! | `waits.rs` | for how long a message is given back, and by which means |
//! | `letters.rs` | dead letters with their reasons, and back again |
//! | `load.rs` | 5,000 records under one bound |
//! | `hosts.rs` | the same on MiniStack's own Lambda |
//! | `cost.rs` | requests and write units a job |
//! | `crashes.rs` | a process killed at each step of a job's life |
//! | `blame.rs` | a job that kills its process, and its neighbours |
//! | `faults.rs` | an AWS that fails often |
//! | `late.rs` | what a dead process sent, and arrives late |
//! | `sweep.rs` | the other role of the binary |
//! | `telling.rs` | the log, and the metrics in it |
//! | `quiet.rs` | what happens every day is no warning |
//! | `traces.rs` | spans, at the collector before the invocation ends |
//! | `frozen.rs` | nothing runs on between invocations |
//! | `managed.rs` | several invocations at once in one process |
#![expect(clippy::expect_used, reason = "a test that cannot go on must fail")]

mod event;
mod rig;
mod timeless;
mod wire;

mod answers;
mod api;
mod deadline;
mod deferrals;
mod fifo;
mod hosts;
mod letters;
mod load;
mod managed;
mod origins;
mod quiet;
mod sweep;
mod telling;
mod traces;
mod waits;

mod blame;
mod cost;
mod crashes;
mod faults;
mod frozen;
mod late;
