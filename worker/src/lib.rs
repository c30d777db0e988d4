//! # The life of a job
//!
//! ```text
//! queue ─→ batch ─→ job ─→ lease ─→ run ─→ tool ─→ webhook ─→ batch answer
//!          many     parse  claim    one    LLM /   signed     which messages
//!          at once  once   or skip  job    MCP     callback   come back
//! ```
//!
//! | | file | what happens there |
//! |---|---|---|
//! | 1 | [`batch`] | messages come in together; each runs in a task of its own, under one bound |
//! | 2 | [`job`] | the body is parsed once, into types that cannot be wrong |
//! | 3 | [`lease`] | the ledger says who may run it, or what became of it |
//! | 4 | [`run`] | one job end to end, and the verdict on its message |
//! | 5 | [`tool`] | the call itself, and what its failures mean |
//! | 6 | [`webhook`] | the outcome, signed and posted |
//!
//! Settings are typed in [`config`]; those that are secret may change meanwhile: [`secret`].
//!
//! The core knows neither a database nor a cloud nor a command line: it takes the ports
//! [`lease::Ledger`], [`queue::Queue`] and [`tool::Tools`] by way of an
//! [`environment::Environment`]. Start reading at [`run`].

pub mod batch;

pub mod job;

pub mod lease;

pub mod run;

pub mod tool;

pub mod webhook;

pub mod clock;
pub mod config;
pub mod dead_letter;
pub mod environment;
pub mod error;
pub mod fan_in;
pub mod held;
mod http;
mod journal;
pub mod pace;
pub mod poller;
pub mod queue;
pub mod resend;
pub mod retry;
pub mod secret;
pub mod spending;
pub mod sweep;
pub mod telemetry;
mod tell;
mod text;
pub mod trace;

#[cfg(feature = "api")]
pub mod api;

#[cfg(feature = "aws")]
pub mod aws;

#[cfg(feature = "local")]
pub mod local;

#[cfg(feature = "cli")]
pub mod cli;
