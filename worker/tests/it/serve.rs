//! `mcp-batch serve`: the binary on a loopback port, with its queue and ledger in a file.

mod access;
mod batches;
mod calls;
mod commands;
mod enqueue;
mod held;
mod hostile;
mod life;
mod mcp;
mod page;
mod rig;
mod telling;
mod traces;
