//! Secrets that change while the process runs.

mod manager;
mod refused_key;
mod renewal;
mod rig;

pub(crate) use self::rig::Told;
