//! Letters that nobody wants any more.

use serde::Serialize;

use super::{Audit, DeadLetters, Desk, Edits, Filter, pass::Pass, replay::Entry};
use crate::{batch::Stop, lease::Ledger};

/// What was done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Purged {
    /// Letters that were looked at.
    pub seen: usize,
    /// Letters that were deleted.
    pub purged: u64,
    /// About how many letters somebody else hides now.
    pub hidden: usize,
    /// `limit` letters were looked at: there may be more.
    pub is_cut_off: bool,
    /// Somebody asked for it to stop.
    pub is_stopped: bool,
}

/// Deletes the letters that are meant, for good. Each is written down before.
pub async fn purge<S: DeadLetters, L: Ledger>(
    source: &S,
    desk: &Desk<'_, L>,
    filter: &Filter,
    limit: usize,
    stop: &Stop,
    audit: &mut Audit,
) -> anyhow::Result<Purged> {
    let name = source.name();
    let mut pass = Pass::of(source, limit).patient(stop);
    let mut done = Purged::default();
    let result = async {
        loop {
            let letters = if stop.is_draining() { Vec::new() } else { pass.next().await? };
            if letters.is_empty() {
                done.is_stopped = stop.is_draining();
                return anyhow::Ok(());
            }
            let cases = desk.cases(letters, filter, &Edits::default()).await?;
            let entry = |case| Entry::new("purge", &name, case, None);
            audit.append(desk.clock.now(), &cases.iter().map(entry).collect::<Vec<_>>())?;
            let letters: Vec<_> = cases.into_iter().map(|case| case.letter.id).collect();
            pass.delete(&letters).await?;
            done.purged += letters.len() as u64;
        }
    }
    .await;
    (done.seen, done.is_cut_off) = (pass.seen(), pass.is_cut_off());
    let hidden = pass.hidden_elsewhere().await;
    pass.end().await;
    result?;
    done.hidden = hidden?;
    Ok(done)
}
