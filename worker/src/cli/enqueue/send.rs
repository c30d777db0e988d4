//! The sending of a group of jobs, in each world. What the queue does not take now is sent again for a
//! while; a group of which nothing can be sent ends the sending.

use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::Value;
use tokio::time::sleep;

use super::draft::Ready;
#[cfg(feature = "aws")]
use crate::aws::sqs::SqsQueue;
use crate::{
    cli::{
        store::Store,
        world::{Client, Refused, World},
    },
    clock::Clock,
    job::{JobKey, Namespace},
    local::SqliteQueue,
    queue::{NewMessage, Queue},
    retry::Backoff,
};

/// For how long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between the tries.
const PAUSE: Backoff = Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(10) };

/// Where jobs are sent.
pub(super) enum Sender<'a> {
    File {
        queue: SqliteQueue,
        namespace: Namespace,
        place: String,
    },
    #[cfg(feature = "aws")]
    Aws {
        queue: SqsQueue,
        namespace: Namespace,
        place: String,
    },
    Server(&'a Client),
}

/// What became of one job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// It lies in the queue.
    Accepted,
    /// It does, and it was known before.
    Duplicate,
    /// It will not be taken, for this reason.
    Refused(String),
}

/// The answer to one try.
enum Answer {
    Final(Sent),
    /// It was not taken now.
    Failed(String),
}

impl<'a> Sender<'a> {
    pub(super) fn of(world: &'a World) -> anyhow::Result<Self> {
        Ok(match world {
            World::File(store) => Self::File {
                queue: store.queue()?,
                namespace: store.policy()?.namespace,
                place: store.place()?,
            },
            #[cfg(feature = "aws")]
            World::Aws(store) => Self::Aws {
                queue: Store::queue(store)?,
                namespace: store.policy()?.namespace,
                place: store.place()?,
            },
            World::Server(client) => Self::Server(client),
        })
    }

    /// Where that is, and whose jobs they are.
    pub(super) fn place(&self) -> String {
        match self {
            Self::File { namespace, place, .. } => format!("{place} {}", namespace.as_str()),
            #[cfg(feature = "aws")]
            Self::Aws { namespace, place, .. } => format!("{place} {}", namespace.as_str()),
            Self::Server(client) => client.base().to_string(),
        }
    }

    /// Sends a group; one answer a job, in their order.
    pub(super) async fn send(&self, group: &[Ready]) -> anyhow::Result<Vec<Sent>> {
        let began = Instant::now();
        let mut sent: Vec<Option<Sent>> = group.iter().map(|_| None).collect();
        for tries in 1.. {
            let left: Vec<_> = group.iter().zip(&mut sent).filter(|(_, it)| it.is_none()).collect();
            let jobs: Vec<_> = left.iter().map(|(job, _)| *job).collect();
            let answers = self.try_once(&jobs).await?;
            let mut failed = Vec::new();
            for ((_, place), answer) in left.into_iter().zip(answers) {
                match answer {
                    Answer::Final(sent) => *place = Some(sent),
                    Answer::Failed(why) => failed.push((place, why)),
                }
            }
            if failed.is_empty() {
                break;
            }
            let pause = PAUSE.delay(tries, fastrand::f64());
            if began.elapsed() + pause > PATIENCE {
                if failed.len() == group.len() {
                    bail!(failed.pop().map(|(_, why)| why).unwrap_or_default());
                }
                for (place, why) in failed {
                    *place = Some(Sent::Refused(why));
                }
                break;
            }
            sleep(pause).await;
        }
        Ok(sent.into_iter().flatten().collect())
    }

    async fn try_once(&self, jobs: &[&Ready]) -> anyhow::Result<Vec<Answer>> {
        match self {
            Self::File { queue, namespace, .. } => Ok(into_queue(queue, namespace, jobs).await),
            #[cfg(feature = "aws")]
            Self::Aws { queue, namespace, .. } => Ok(into_queue(queue, namespace, jobs).await),
            Self::Server(client) => to_server(client, jobs).await,
        }
    }
}

async fn into_queue<Q: Queue>(queue: &Q, namespace: &Namespace, jobs: &[&Ready]) -> Vec<Answer> {
    let now = Clock::system().now();
    let message = |job: &&Ready| NewMessage {
        body: job.body.clone(),
        namespace: Some(namespace.clone()),
        job: Some(JobKey::of(namespace, &job.id)),
        group: job.group.clone(),
        first_seen: now,
        delay: Duration::ZERO,
    };
    let answers = queue.send_each(jobs.iter().map(message).collect()).await;
    let answer = |answer: Result<String, _>| match answer {
        Ok(_) => Answer::Final(Sent::Accepted),
        Err(error) => Answer::Failed(format!("{error}")),
    };
    answers.into_iter().map(answer).collect()
}

async fn to_server(client: &Client, jobs: &[&Ready]) -> anyhow::Result<Vec<Answer>> {
    let bodies: Vec<_> = jobs.iter().map(|job| String::from_utf8_lossy(&job.body)).collect();
    let body = format!("[{}]", bodies.join(","));
    let mut told = match client.post("/v1/jobs", &body).await {
        Ok(told) => told,
        // None of them is sound: why, one by one.
        Err(Refused::Problem { document, .. }) if document["code"] == "no_sound_job" => *document,
        Err(refused) => return Err(refused.into()),
    };
    let rows: Vec<_> = told["jobs"].as_array_mut().map(std::mem::take).unwrap_or_default();
    if rows.len() != jobs.len() {
        bail!("the server told of {} jobs of {}", rows.len(), jobs.len());
    }
    Ok(rows.iter().map(answer).collect())
}

fn answer(row: &Value) -> Answer {
    let why = || row["error"]["message"].as_str().unwrap_or("it was refused").to_owned();
    match row["status"].as_str() {
        Some("accepted") => Answer::Final(Sent::Accepted),
        Some("duplicate") => Answer::Final(Sent::Duplicate),
        _ if row["error"]["retryable"] == true => Answer::Failed(why()),
        _ => Answer::Final(Sent::Refused(why())),
    }
}
