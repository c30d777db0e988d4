//! The sending of a group of jobs, in each world. What the queue does not take now is sent again for a
//! while; a group of which something is not taken by then ends the sending.

use std::time::{Duration, Instant};

#[cfg(feature = "aws")]
use anyhow::Context;
use anyhow::bail;
use serde_json::Value;
use tokio::time::sleep;

use super::draft::Ready;
#[cfg(feature = "aws")]
use crate::aws::sqs::SqsQueue;
use crate::{
    cli::{
        setup,
        store::Store,
        world::{Client, Refused, World},
    },
    clock::Clock,
    config::Source,
    job::{Namespace, traced},
    local::SqliteQueue,
    queue::{Cause, NewMessage, Queue, QueueError},
    retry::Backoff,
    trace::{self, Destination, Tracer},
};

/// For how long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The pause between the tries.
const PAUSE: Backoff = Backoff { base: Duration::from_millis(500), cap: Duration::from_secs(10) };

/// Body and attributes share SQS's 1 MiB.
#[cfg(feature = "aws")]
const MAX_SQS_BODY_BYTES: usize = crate::job::MAX_BODY_BYTES - 1_024;

/// Sends jobs, and traces that.
pub(super) struct Sender<'a> {
    to: Target<'a>,
    tracer: Tracer,
}

/// Where jobs are sent.
enum Target<'a> {
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

impl Answer {
    fn has_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }
}

impl<'a> Sender<'a> {
    /// With a tracer as the settings want it.
    pub(super) fn of(world: &'a World, source: &Source) -> anyhow::Result<Self> {
        let to = Target::of(world)?;
        let tracer = setup::tracer(source, to.destination())?;
        Ok(Self { to, tracer })
    }

    /// Where that is, and whose jobs they are.
    pub(super) fn place(&self) -> String {
        self.to.place()
    }

    /// Who traces the sending.
    pub(super) fn tracer(&self) -> &Tracer {
        &self.tracer
    }

    /// Sends a group; one answer a job, in their order.
    pub(super) async fn send(&self, group: &[Ready]) -> anyhow::Result<Vec<Sent>> {
        let refused = group.iter().map(|job| self.to.refusal(job)).collect();
        patiently(refused, PATIENCE, async |left| {
            let jobs: Vec<_> = left.iter().map(|place| &group[*place]).collect();
            let mut span = trace::enqueue(&self.tracer, jobs.len());
            let answers = span.scope(self.to.try_once(&jobs)).await;
            let has_failed = |answers: &Vec<_>| answers.iter().any(Answer::has_failed);
            if answers.as_ref().map_or(true, has_failed) {
                trace::failed(&mut span, "not_taken");
            }
            answers
        })
        .await
    }
}

impl<'a> Target<'a> {
    fn of(world: &'a World) -> anyhow::Result<Self> {
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

    fn destination(&self) -> Destination {
        match self {
            Self::File { .. } => SqliteQueue::destination(),
            #[cfg(feature = "aws")]
            Self::Aws { queue, .. } => queue.destination(),
            Self::Server(_) => Destination { system: "mcp_batch", name: "jobs".to_owned() },
        }
    }

    fn place(&self) -> String {
        match self {
            Self::File { namespace, place, .. } => format!("{place} {}", namespace.as_str()),
            #[cfg(feature = "aws")]
            Self::Aws { namespace, place, .. } => format!("{place} {}", namespace.as_str()),
            Self::Server(client) => format!("{} {}", client.base(), client.caller()),
        }
    }

    /// Why a job can never be sent there.
    fn refusal(&self, job: &Ready) -> Option<Sent> {
        #[cfg(feature = "aws")]
        if let Self::Aws { .. } = self
            && job.body.len() > MAX_SQS_BODY_BYTES
        {
            let found = job.body.len();
            let expected = format!("expected at most {MAX_SQS_BODY_BYTES} bytes for SQS");
            return Some(Sent::Refused(format!("{expected}, found {found}")));
        }
        let _ = job;
        None
    }

    async fn try_once(&self, jobs: &[&Ready]) -> anyhow::Result<Vec<Answer>> {
        match self {
            Self::File { queue, namespace, .. } => into_queue(queue, namespace, jobs).await,
            #[cfg(feature = "aws")]
            Self::Aws { queue, namespace, place } => {
                let named = || {
                    format!(
                        "{place}: is that the queue (--queue-url, MCP_BATCH_QUEUE_URL), and may these \
                         credentials send to it (sqs:SendMessage)?"
                    )
                };
                into_queue(queue, namespace, jobs).await.with_context(named)
            }
            Self::Server(client) => to_server(client, jobs).await,
        }
    }
}

/// Tries the places that have no answer, until all have one. Where that takes too long, none of the group counts as
/// answered: it is sent again, under the same ids, by whoever goes on.
async fn patiently(
    mut sent: Vec<Option<Sent>>,
    patience: Duration,
    try_once: impl AsyncFn(&[usize]) -> anyhow::Result<Vec<Answer>>,
) -> anyhow::Result<Vec<Sent>> {
    let began = Instant::now();
    for tries in 1.. {
        let left: Vec<_> = (0..sent.len()).filter(|place| sent[*place].is_none()).collect();
        if left.is_empty() {
            break;
        }
        let mut failed = None;
        for (place, answer) in left.iter().zip(try_once(&left).await?) {
            match answer {
                Answer::Final(answer) => sent[*place] = Some(answer),
                Answer::Failed(why) => failed = Some(why),
            }
        }
        let Some(why) = failed else { break };
        let pause = PAUSE.delay(tries, fastrand::f64());
        if began.elapsed() + pause > patience {
            let unanswered = sent.iter().filter(|answer| answer.is_none()).count();
            let are = if unanswered == 1 { "was" } else { "were" };
            bail!("{unanswered} of a group of {} {are} not taken: {why}", sent.len());
        }
        sleep(pause).await;
    }
    Ok(sent.into_iter().flatten().collect())
}

async fn into_queue<Q: Queue>(
    queue: &Q,
    namespace: &Namespace,
    jobs: &[&Ready],
) -> anyhow::Result<Vec<Answer>> {
    let now = Clock::system().now();
    let message = |ready: &&Ready| {
        let body = traced(ready.body.clone(), &ready.job, trace::current());
        NewMessage::of(namespace, &ready.job, body, now)
    };
    let answers = queue.send_each(jobs.iter().map(message).collect()).await;
    answers.into_iter().map(judged).collect()
}

/// What nobody mends meanwhile is not waited for.
fn judged(answer: Result<String, QueueError>) -> anyhow::Result<Answer> {
    let Err(error) = answer else { return Ok(Answer::Final(Sent::Accepted)) };
    match error.cause() {
        Cause::Passing => Ok(Answer::Failed(error.to_string())),
        Cause::Message => Ok(Answer::Final(Sent::Refused(error.to_string()))),
        Cause::Settings => Err(error.into()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ClientKey, ClientSettings};

    #[test]
    fn another_key_of_a_server_is_another_place() {
        let client = |key: Option<&str>| {
            let url = "http://127.0.0.1:8080".parse().expect("a URL");
            let key = key.map(|key| ClientKey::Here(key.into()));
            Client::new(ClientSettings { url, key }).expect("a client")
        };
        let clients = [client(None), client(Some("key-a")), client(Some("key-b"))];
        let places: std::collections::HashSet<_> =
            clients.iter().map(|client| Target::Server(client).place()).collect();
        assert_eq!(places.len(), 3);
        assert!(!places.iter().any(|place| place.contains("key-")), "{places:?}");
    }

    #[tokio::test]
    async fn an_outage_in_the_middle_of_a_group_refuses_none_of_it() {
        let refused = Sent::Refused("it is too large".to_owned());
        let group = vec![Some(refused.clone()), None, None];
        let outage = async |left: &[usize]| {
            let answer = |place: &usize| match place {
                1 => Answer::Final(Sent::Accepted),
                _ => Answer::Failed("the queue is gone".to_owned()),
            };
            Ok(left.iter().map(answer).collect())
        };
        let stopped = patiently(group.clone(), Duration::ZERO, outage)
            .await
            .expect_err("it lasts")
            .to_string();
        assert_eq!(stopped, "1 of a group of 3 was not taken: the queue is gone");

        let well =
            async |left: &[usize]| Ok(left.iter().map(|_| Answer::Final(Sent::Accepted)).collect());
        let sent = patiently(group, PATIENCE, well).await.expect("all are answered");
        assert_eq!(sent, [refused, Sent::Accepted, Sent::Accepted]);
    }
}
