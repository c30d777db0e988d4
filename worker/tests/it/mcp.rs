//! Tools of remote MCP servers: what a call brings, what its failures mean, what one connection
//! goes through.

mod calls;
mod commands;
mod errors;
mod hostile;
mod jobs;
mod lists;
mod oauth;
mod programs;
mod results;
mod rig;
mod secrets;
mod sessions;
