//! A receiver of callbacks.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use hyper::body::Incoming;
use hyper::{Request, Response};

mod reply;

pub use self::reply::Reply;

use crate::server::{Answerer, Body, Closed, Listen, Received, Server, Traffic, Visit, lock};

/// The header that carries an event's id, the same in all attempts to deliver it.
const WEBHOOK_ID: &str = "webhook-id";

/// A loopback receiver of callbacks: takes any method on any path, answers 204, and keeps
/// what it got. It stops when dropped.
#[derive(Debug)]
pub struct Receiver {
    server: Server,
    inbox: Arc<Inbox>,
}

/// Sets up a [`Receiver`].
#[derive(Debug)]
#[must_use]
pub struct ReceiverBuilder {
    listen: Listen,
    keep: usize,
}

impl ReceiverBuilder {
    /// How many deliveries are kept: the latest ones. All by default; counts and ids are
    /// always complete.
    pub fn keep(mut self, keep: usize) -> Self {
        self.keep = keep;
        self
    }

    /// How many threads it runs on. One by default.
    pub fn threads(mut self, threads: usize) -> Self {
        self.listen.threads = threads;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    ///
    /// When the machine has no thread or port left.
    pub async fn start(self) -> Receiver {
        let traffic = Arc::<Traffic>::default();
        let inbox = Arc::new(Inbox {
            keep: self.keep,
            deliveries: Mutex::default(),
            by_id: Mutex::default(),
            script: Mutex::default(),
            default: Mutex::new(Reply::status(204)),
            choice: Mutex::default(),
            traffic: Arc::clone(&traffic),
        });
        let server = Server::start(self.listen, Arc::clone(&inbox), traffic).await;
        Receiver { server: server.expect("the receiver starts"), inbox }
    }
}

impl Receiver {
    /// Starts one that answers 204 and keeps every delivery.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Sets one up.
    pub fn builder() -> ReceiverBuilder {
        ReceiverBuilder { listen: Listen::default(), keep: usize::MAX }
    }

    /// The URL of a path, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.address())
    }

    /// Lets the next deliveries take one of `replies` each, in order. Then the default is back.
    /// Replaces what is left of an earlier script.
    pub fn respond_with(&self, replies: impl IntoIterator<Item = Reply>) {
        *lock(&self.inbox.script) = replies.into_iter().collect();
    }

    /// What deliveries without a script get from now on, instead of a 204.
    pub fn set_default(&self, reply: Reply) {
        *lock(&self.inbox.default) = reply;
    }

    /// What deliveries without a script get from now on, chosen for each by its number from 0.
    pub fn choose(&self, mut reply: impl FnMut(usize) -> Reply + Send + 'static) {
        let mut number = 0;
        let choose = move || {
            number += 1;
            reply(number - 1)
        };
        *lock(&self.inbox.choice) = Some(Choice(Box::new(choose)));
    }

    /// The deliveries kept, in the order they arrived, whatever was replied.
    pub fn deliveries(&self) -> Vec<Received> {
        lock(&self.inbox.deliveries).iter().cloned().collect()
    }

    /// How many deliveries arrived, kept or not, counted before they are answered.
    pub fn count(&self) -> usize {
        self.inbox.traffic.requests()
    }

    /// How many different `webhook-id`s arrived.
    pub fn distinct_ids(&self) -> usize {
        lock(&self.inbox.by_id).len()
    }

    /// How often each `webhook-id` arrived.
    pub fn deliveries_by_id(&self) -> BTreeMap<String, usize> {
        lock(&self.inbox.by_id).clone()
    }

    /// How many TCP connections were accepted.
    pub fn connections(&self) -> usize {
        self.inbox.traffic.connections()
    }

    /// The most deliveries that were ever being answered at once.
    pub fn max_in_flight(&self) -> usize {
        self.inbox.traffic.max_in_flight()
    }

    /// How many clients went away before their reply.
    pub fn clients_left(&self) -> usize {
        self.inbox.traffic.clients_left()
    }

    /// Waits until at least `n` deliveries arrived, and gives those kept.
    ///
    /// # Panics
    ///
    /// After [`PATIENCE`](crate::PATIENCE).
    pub async fn wait_for(&self, n: usize) -> Vec<Received> {
        self.server.wait_for(n, "deliveries", Traffic::requests).await;
        self.deliveries()
    }

    /// Waits until at least `n` clients went away before their reply.
    ///
    /// # Panics
    ///
    /// After [`PATIENCE`](crate::PATIENCE).
    pub async fn wait_for_clients_left(&self, n: usize) {
        self.server.wait_for(n, "clients to leave the receiver", Traffic::clients_left).await;
    }
}

/// What the server's thread and the test share.
#[derive(Debug)]
struct Inbox {
    keep: usize,
    deliveries: Mutex<VecDeque<Received>>,
    by_id: Mutex<BTreeMap<String, usize>>,
    script: Mutex<VecDeque<Reply>>,
    default: Mutex<Reply>,
    choice: Mutex<Option<Choice>>,
    traffic: Arc<Traffic>,
}

/// What the delivery of a number gets.
struct Choice(Box<dyn FnMut() -> Reply + Send>);

impl std::fmt::Debug for Choice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Choice")
    }
}

impl Answerer for Inbox {
    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        visit: Visit,
    ) -> Result<Response<Body>, Closed> {
        let delivery = Received::read(request).await?;
        let reply = self.next_reply();
        self.note(delivery);
        reply.give(visit).await
    }
}

impl Inbox {
    fn next_reply(&self) -> Reply {
        let scripted = lock(&self.script).pop_front();
        let chosen = || lock(&self.choice).as_mut().map(|choice| (choice.0)());
        scripted.or_else(chosen).unwrap_or_else(|| lock(&self.default).clone())
    }

    fn note(&self, delivery: Received) {
        if let Some(id) = delivery.header(WEBHOOK_ID) {
            *lock(&self.by_id).entry(id.to_owned()).or_default() += 1;
        }
        let mut deliveries = lock(&self.deliveries);
        deliveries.push_back(delivery);
        if deliveries.len() > self.keep {
            deliveries.pop_front();
        }
        drop(deliveries);
        self.traffic.count_request();
    }
}
