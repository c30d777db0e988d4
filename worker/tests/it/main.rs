//! The program from outside: the real binary and the public library, against real parts on
//! loopback.
//!
//! | file | what is shown |
//! |---|---|
//! | `run_command.rs` | `mcp-batch run`: outcomes, repetition, crashes, signals |
//! | `llm_answers.rs` | every way an LLM can answer, and what it means for a job |
//! | `bad_input.rs` | bodies and files that are wrong, in the parser and through `run` |
//! | `job_schema.rs` | the contract's JSON Schema says what the parser does |
//! | `worker.rs` | the worker in process: bounds, deadlines, stops, callbacks |
#![expect(clippy::expect_used, reason = "a test that cannot go on must fail")]

mod bad_input;
mod helpers;
mod job_schema;
mod llm_answers;
mod run_command;
mod worker;
