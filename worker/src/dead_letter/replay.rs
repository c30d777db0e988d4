//! The replay itself. For each letter: its job is sent, that is written down, the letter is deleted.
//! Killed between two of these, it sends a job twice at worst; the ledger runs it once.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{
    Action, Audit, Case, DeadLetters, Desk, Edits, FailureLimit, Filter, Journal, LeftBecause,
    LetterId, Replay, outlook::Outlook, pass::Pass,
};
use crate::{
    batch::Stop,
    job::{JobKey, PayloadHash},
    lease::Ledger,
    pace::Pace,
};

/// The queue takes nothing any more when it refused so many jobs one after another.
const REFUSED_IN_A_ROW: u32 = 10;

/// What is asked for.
pub struct Asked<'a> {
    /// Which letters are meant.
    pub filter: &'a Filter,
    /// What is changed in their jobs.
    pub edits: &'a Edits,
    /// How fast jobs are sent.
    pub pace: Pace,
    /// When it stops by itself.
    pub failures: FailureLimit,
    /// The most letters that are looked at.
    pub limit: usize,
    /// Somebody wants it to stop.
    pub stop: &'a Stop,
}

/// What was done.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Replayed {
    /// Letters that were looked at.
    pub seen: usize,
    /// Jobs that were sent to be run.
    pub replayed: u64,
    /// Jobs that were sent so that their callback is told.
    pub told: u64,
    /// Letters of jobs that were over.
    pub dropped: u64,
    /// Letters whose jobs an earlier run of the same replay had sent.
    pub sent_before: u64,
    /// Letters that stay, by why.
    pub left: BTreeMap<String, u64>,
    /// Jobs that the queue did not take, and what it said of the last of them.
    pub not_sent: u64,
    /// What it said of the last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// About how many letters somebody else hides now.
    pub hidden: usize,
    /// `limit` letters were looked at: there may be more.
    pub is_cut_off: bool,
    /// Why it ended before its time, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_by: Option<StoppedBy>,
}

/// Why a replay ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StoppedBy {
    /// Somebody asked for it.
    Request,
    /// Too many of the latest jobs failed again.
    Failures {
        /// How many.
        failed: usize,
        /// Of how many that ended.
        ended: usize,
    },
    /// The queue took none of the latest jobs.
    Queue,
}

/// An audit line of a letter.
#[derive(Serialize)]
pub(super) struct Entry {
    action: &'static str,
    source: String,
    letter: String,
    namespace: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'static str>,
    standing: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hash_before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hash_after: Option<String>,
    /// The fields that were changed, without their values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<String>,
}

impl Entry {
    pub(super) fn new(
        action: &'static str,
        source: &str,
        case: &Case,
        after: Option<PayloadHash>,
    ) -> Self {
        Self {
            action,
            source: source.to_owned(),
            letter: case.letter.id.0.clone(),
            namespace: case.namespace.as_str().to_owned(),
            job_id: case.job_id.clone(),
            tool: case.tool.clone(),
            class: case.letter.reason.as_ref().map(|reason| reason.class.as_str()),
            standing: case.standing.as_str(),
            payload_hash_before: case.before.map(|hash| hash.to_string()),
            payload_hash_after: after.map(|hash| hash.to_string()),
            changed: Vec::new(),
        }
    }
}

/// Replays the letters that are meant.
pub async fn replay<S: DeadLetters, L: Ledger>(
    source: &S,
    desk: &Desk<'_, L>,
    asked: Asked<'_>,
    journal: &mut Journal,
    audit: &mut Audit,
) -> anyhow::Result<Replayed> {
    let pass = Pass::of(source, asked.limit).patient(asked.stop);
    let outlook = Outlook::new(asked.failures);
    let (name, done) = (source.name(), Replayed::default());
    let refused_in_a_row = 0;
    let mut work =
        Work { source, name, desk, asked, journal, audit, pass, outlook, refused_in_a_row, done };
    let result = work.all().await;
    let Work { pass, mut done, .. } = work;
    (done.seen, done.is_cut_off) = (pass.seen(), pass.is_cut_off());
    let hidden = pass.hidden_elsewhere().await;
    pass.end().await;
    result?;
    done.hidden = hidden?;
    Ok(done)
}

struct Work<'a, S, L> {
    source: &'a S,
    name: String,
    desk: &'a Desk<'a, L>,
    asked: Asked<'a>,
    journal: &'a mut Journal,
    audit: &'a mut Audit,
    pass: Pass<'a, S>,
    outlook: Outlook,
    refused_in_a_row: u32,
    done: Replayed,
}

/// A letter whose job is to be sent.
struct Outbound {
    letter: LetterId,
    entry: Entry,
    replay: Replay,
    /// The epoch of the run that the ledger knew, if it knew one.
    before: Option<u64>,
    is_run: bool,
}

impl<S: DeadLetters, L: Ledger> Work<'_, S, L> {
    async fn all(&mut self) -> anyhow::Result<()> {
        while self.done.stopped_by.is_none() {
            let letters = self.pass.next().await?;
            if letters.is_empty() {
                let is_asked = self.asked.stop.is_draining();
                self.done.stopped_by = is_asked.then_some(StoppedBy::Request);
                break;
            }
            let (sent, new): (Vec<_>, Vec<_>) =
                letters.into_iter().partition(|letter| self.journal.has_letter(&letter.id));
            self.done.sent_before += sent.len() as u64;
            let sent: Vec<_> = sent.into_iter().map(|letter| letter.id).collect();
            self.pass.delete(&sent).await?;
            let Asked { filter, edits, .. } = self.asked;
            let cases = self.desk.cases(new, filter, edits).await?;
            self.page(cases).await?;
        }
        Ok(())
    }

    async fn page(&mut self, cases: Vec<Case>) -> anyhow::Result<()> {
        let (mut outbound, mut over) = (Vec::new(), Vec::new());
        for case in cases {
            self.sort(case, &mut outbound, &mut over);
        }
        self.drop_all(over).await?;
        let mut outbound = outbound.into_iter().peekable();
        while outbound.peek().is_some() {
            if let Some(why) = self.stopped().await? {
                self.done.stopped_by = Some(why);
                return Ok(());
            }
            let chunk: Vec<_> = outbound.by_ref().take(self.asked.pace.at_once()).collect();
            tokio::select! {
                biased;
                () = self.asked.stop.draining() => {
                    self.done.stopped_by = Some(StoppedBy::Request);
                    return Ok(());
                }
                () = self.asked.pace.take(chunk.len()) => {}
            }
            self.send(chunk).await?;
        }
        Ok(())
    }

    /// A job is sent once in a replay: where its letter comes back, it failed again, and another one
    /// is for the next replay.
    fn sort(
        &mut self,
        case: Case,
        outbound: &mut Vec<Outbound>,
        over: &mut Vec<(LetterId, Entry)>,
    ) {
        let (after, changed) = match &case.action {
            Action::Replay(_, job) => (Some(job.payload_hash()), self.asked.edits.paths()),
            _ => (None, Vec::new()),
        };
        let entry = Entry::new(case.action.as_str(), &self.name, &case, after);
        let entry = Entry { changed, ..entry };
        let before = case.record.as_ref().map(|record| record.epoch);
        let letter = case.letter.id;
        let is_sent = |job: JobKey, outbound: &[Outbound]| {
            self.journal.has_job(job) || outbound.iter().any(|other| other.replay.job == job)
        };
        let left = match case.action {
            Action::Drop => return over.push((letter, entry)),
            Action::Replay(replay, _) if !is_sent(replay.job, outbound) => {
                let before = replay.replay_of.and(before);
                return outbound.push(Outbound {
                    letter,
                    entry,
                    replay: *replay,
                    before,
                    is_run: true,
                });
            }
            Action::Tell(replay) if !is_sent(replay.job, outbound) => {
                return outbound.push(Outbound {
                    letter,
                    entry,
                    replay: *replay,
                    before: None,
                    is_run: false,
                });
            }
            Action::Replay(..) | Action::Tell(_) => LeftBecause::Repeated.as_str(),
            Action::Leave(LeftBecause::Standing) => case.standing.as_str(),
            Action::Leave(because) => because.as_str(),
        };
        *self.done.left.entry(left.to_owned()).or_default() += 1;
    }

    async fn drop_all(&mut self, over: Vec<(LetterId, Entry)>) -> anyhow::Result<()> {
        let (letters, entries): (Vec<_>, Vec<_>) = over.into_iter().unzip();
        self.audit.append(self.desk.clock.now(), &entries)?;
        self.pass.delete(&letters).await?;
        self.done.dropped += letters.len() as u64;
        Ok(())
    }

    async fn stopped(&mut self) -> anyhow::Result<Option<StoppedBy>> {
        if self.asked.stop.is_draining() {
            return Ok(Some(StoppedBy::Request));
        }
        let endings = self.outlook.too_many_failed(self.desk.ledger).await?;
        Ok(endings.map(|it| StoppedBy::Failures { failed: it.failed, ended: it.ended }))
    }

    async fn send(&mut self, chunk: Vec<Outbound>) -> anyhow::Result<()> {
        let answers = self.source.send(chunk.iter().map(|it| it.replay.clone()).collect()).await;
        let (mut sent, mut entries, mut refused) = (Vec::new(), Vec::new(), 0);
        for (Outbound { letter, entry, replay, before, is_run }, answer) in
            chunk.into_iter().zip(answers)
        {
            match answer {
                Ok(()) => {
                    self.outlook.sent(replay.job, before);
                    sent.push((letter, replay.job));
                    entries.push(entry);
                    *(if is_run { &mut self.done.replayed } else { &mut self.done.told }) += 1;
                }
                Err(error) => {
                    refused += 1;
                    self.done.not_sent += 1;
                    self.done.refusal = Some(error.to_string());
                }
            }
        }
        self.refused_in_a_row = if sent.is_empty() { self.refused_in_a_row + refused } else { 0 };
        if self.refused_in_a_row >= REFUSED_IN_A_ROW {
            self.done.stopped_by = Some(StoppedBy::Queue);
        }
        // Sent twice, it is told twice; sent once, it is told at least once.
        self.audit.append(self.desk.clock.now(), &entries)?;
        self.journal.note(&sent)?;
        let letters: Vec<_> = sent.into_iter().map(|(letter, _)| letter).collect();
        Ok(self.pass.delete(&letters).await?)
    }
}
