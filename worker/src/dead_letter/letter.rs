//! A dead letter as it lies there, and the job that is sent in its place.

use bytes::Bytes;

use crate::{
    clock::UnixMs,
    error::ErrorClass,
    job::{JobKey, Namespace},
    queue::{Attribute, DeadLetter, Receipt},
};

/// The store's own name for a letter, the same at each look.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LetterId(pub String);

/// A dead letter.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The store's name for it.
    pub id: LetterId,
    /// Proves this very take to delete and put back.
    pub receipt: Receipt,
    /// The job's text.
    pub body: Bytes,
    /// When it was put there; where a queue's redrive policy did that, when the message was sent.
    pub buried: UnixMs,
    /// Whose fair share it is.
    pub group: Option<String>,
    /// The trace it belongs to (SQS: `AWSTraceHeader`).
    pub trace: Option<String>,
    /// Whose job it is, if the sender said so.
    pub namespace: Option<Namespace>,
    /// Why it is dead; `None` where a queue's redrive policy put it there.
    pub reason: Option<Reason>,
    /// What else the message bears.
    pub others: Vec<Attribute>,
}

/// Why a letter is dead, as its attributes tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The class of the failure.
    pub class: ErrorClass,
    /// A stable word for programs.
    pub code: Option<String>,
    /// A sentence for people.
    pub message: Option<String>,
    /// The job's id, if the body had one.
    pub job_id: Option<String>,
    /// Its tool, if the body named one.
    pub tool: Option<String>,
    /// Calls begun.
    pub attempts: Option<u32>,
    /// The epoch in which the ledger settled it; `None` for what never became a run.
    pub epoch: Option<u64>,
    /// When the job was first sent.
    pub first_seen: Option<UnixMs>,
}

impl Letter {
    /// Takes the attributes of a message apart: those of this program, and the others, which go with the job.
    /// When it was first seen is forgotten: a replay begins anew.
    #[must_use]
    pub fn with_attributes(mut self, attributes: Vec<Attribute>) -> Self {
        let text = |name: &str| Attribute::text(&attributes, name).map(str::to_owned);
        self.namespace = text(DeadLetter::NAMESPACE).and_then(|name| name.parse().ok());
        let class = text(DeadLetter::ERROR_CLASS).and_then(|name| ErrorClass::from_name(&name));
        self.reason = class.map(|class| Reason {
            class,
            code: text(DeadLetter::ERROR_CODE),
            message: text(DeadLetter::ERROR_MESSAGE),
            job_id: text(DeadLetter::JOB_ID),
            tool: text(DeadLetter::TOOL),
            attempts: text(DeadLetter::ATTEMPTS).and_then(|number| number.parse().ok()),
            epoch: text(DeadLetter::EPOCH).and_then(|number| number.parse().ok()),
            first_seen: text(DeadLetter::FIRST_SEEN).and_then(|moment| UnixMs::parse(&moment)),
        });
        self.others = Attribute::of_producer(attributes);
        self
    }
}

/// A job on its way back to the queue of jobs.
#[derive(Clone, Debug)]
pub struct Replay {
    /// The job's text.
    pub body: Bytes,
    /// The job.
    pub job: JobKey,
    /// Whose job it is.
    pub namespace: Option<Namespace>,
    /// Whose fair share it is.
    pub group: Option<String>,
    /// The trace it belongs to.
    pub trace: Option<String>,
    /// What else the message bears.
    pub others: Vec<Attribute>,
    /// The epoch of the failed run that is to be run again, if there was one. Whoever receives the message starts
    /// that run over if it still stands, and else meets what became of it.
    pub replay_of: Option<u64>,
}
