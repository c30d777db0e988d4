//! `mcp-batch serve`: the binary on a loopback port, with its queue and ledger in a file.

mod access;
mod calls;
mod enqueue;
mod held;
mod hostile;
mod life;
mod mcp;
mod rig;
mod telling;
