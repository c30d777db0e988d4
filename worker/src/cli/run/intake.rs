//! The file on its way into the queue: read on a thread of its own, judged, sent in groups, while
//! the first jobs run already.

use std::{
    io::{self, BufRead},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::Context;
use bytes::Bytes;
use tokio::{runtime::Handle, sync::oneshot};

use super::{
    super::{
        input::{Item, Items},
        setup::LocalPorts,
    },
    entry::{Entries, Fate, Refusal},
};
use crate::{
    batch::Stop,
    environment::Environment,
    fan_in::BatchKey,
    job::{Job, JobKey, PayloadHash},
    lease::{Decision, Ledger, Record, State},
    queue::{NewMessage, Queue},
};

/// Messages that share one write.
const GROUP: usize = 100;

/// Bytes of messages after which a group is sent although it is not full.
const GROUP_BYTES: usize = 1_048_576;

/// Refusals told while the file is read; the results file has them all.
const TOLD: u64 = 20;

/// How many jobs were sent so far.
#[derive(Debug, Default)]
pub(super) struct Admitted(AtomicU64);

impl Admitted {
    pub(super) fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// The reading of one file.
pub(super) struct Intake {
    pub(super) reader: Box<dyn BufRead + Send>,
    pub(super) environment: Arc<Environment<LocalPorts>>,
    pub(super) stop: Stop,
    pub(super) retry_failed: bool,
}

/// Jobs that are sent together.
#[derive(Default)]
struct Group {
    messages: Vec<NewMessage>,
    jobs: Vec<(JobKey, PayloadHash)>,
    bytes: usize,
}

impl Intake {
    /// Starts reading. The thread ends with the file, or soon after a stop.
    pub(super) fn start(
        self,
        admitted: Arc<Admitted>,
    ) -> io::Result<oneshot::Receiver<anyhow::Result<Entries>>> {
        let (done, reading) = oneshot::channel();
        let runtime = Handle::current();
        let read = move || {
            // Nobody waits any more after a stop.
            let _ = done.send(self.read_all(&admitted, &runtime));
        };
        thread::Builder::new().name("intake".to_owned()).spawn(read)?;
        Ok(reading)
    }

    fn read_all(mut self, admitted: &Admitted, runtime: &Handle) -> anyhow::Result<Entries> {
        let mut entries = Entries::default();
        let mut group = Group::default();
        let mut refused = 0;
        let reader = std::mem::replace(&mut self.reader, Box::new(io::empty()));
        for item in Items::new(reader).context("the file cannot be read")? {
            if self.stop.is_draining() {
                break;
            }
            let mut item = item.context("the file cannot be read any further")?;
            let body = Bytes::from(std::mem::take(&mut item.text));
            match self.admit(&mut entries, &item, &body) {
                Ok(job) => group.push(self.message(&job, body), &job, &self.environment),
                Err(refusal) => {
                    refused += tell(&entries, refused);
                    if let Some(refusal) = refusal {
                        entries.batches.insert(self.count(*refusal, runtime)?);
                    }
                }
            }
            if group.is_full() {
                self.send(&mut group, admitted, runtime)?;
            }
        }
        self.send(&mut group, admitted, runtime)?;
        if refused > TOLD {
            eprintln!("… and {} more bad items; the results file has them all", refused - TOLD);
        }
        Ok(entries)
    }

    fn admit(
        &self,
        entries: &mut Entries,
        item: &Item,
        body: &Bytes,
    ) -> Result<Job, Option<Box<Refusal>>> {
        entries.admit(item, body, &self.environment)
    }

    /// Counts an item that is refused in its batch; answers which one that is.
    fn count(&self, refusal: Refusal, runtime: &Handle) -> anyhow::Result<BatchKey> {
        let Refusal { membership, rejection } = refusal;
        let namespace = self.environment.policy.namespace.clone();
        let key = BatchKey::of(&namespace, membership.id());
        let ledger = &self.environment.ledger;
        runtime.block_on(ledger.reject(namespace, membership, rejection))?;
        Ok(key)
    }

    fn message(&self, job: &Job, body: Bytes) -> NewMessage {
        let (namespace, now) = (&self.environment.policy.namespace, self.environment.clock.now());
        // Nobody looks for a job in a queue of one's own.
        NewMessage { namespace: None, job: None, ..NewMessage::of(namespace, job, body, now) }
    }

    fn send(&self, group: &mut Group, admitted: &Admitted, runtime: &Handle) -> anyhow::Result<()> {
        let group = std::mem::take(group);
        if group.messages.is_empty() {
            return Ok(());
        }
        let count = group.messages.len() as u64;
        runtime.block_on(async {
            if self.retry_failed {
                self.replay_failed(group.jobs).await?;
            }
            // Counted first: no job may end before it is expected.
            admitted.0.fetch_add(count, Ordering::AcqRel);
            self.environment.queue.send(group.messages).await?;
            Ok(())
        })
    }

    async fn replay_failed(&self, jobs: Vec<(JobKey, PayloadHash)>) -> anyhow::Result<()> {
        let ledger = &self.environment.ledger;
        let records = ledger.read(jobs.iter().map(|(key, _)| *key).collect()).await?;
        for ((key, payload_hash), record) in jobs.into_iter().zip(records) {
            if let Some(Record { epoch, state: State::Failed(_), .. }) = record {
                let now = self.environment.clock.now();
                // Somebody else may have been faster: the claim will see.
                let replay = Decision::Replay { epoch, payload_hash };
                let _ = ledger.decide(key, replay, now).await?;
            }
        }
        Ok(())
    }
}

impl Group {
    fn push(&mut self, message: NewMessage, job: &Job, environment: &Environment<LocalPorts>) {
        let key = JobKey::of(&environment.policy.namespace, job.id());
        self.jobs.push((key, job.payload_hash()));
        self.bytes += message.body.len();
        self.messages.push(message);
    }

    fn is_full(&self) -> bool {
        self.messages.len() >= GROUP || self.bytes >= GROUP_BYTES
    }
}

/// Tells the last entry's fault, if it has one and not too many were told; answers how many it
/// has.
fn tell(entries: &Entries, told: u64) -> u64 {
    let Some((entry, Fate::Rejected(error))) = entries.last().map(|entry| (entry, &entry.fate))
    else {
        return 0;
    };
    if told < TOLD {
        let job = entry.id.as_ref().map(|id| format!(", job {id}")).unwrap_or_default();
        eprintln!("line {}{job}: {}", entry.line, error.message);
    }
    1
}
