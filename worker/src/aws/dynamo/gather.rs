//! Writes that meet on one item are done together: those that come while one is under way gather
//! for the next. So a process never gets in its own way, and the busier it is, the less each costs.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::sleep};

use crate::lease::LedgerError;

/// How long the first waits for others: little beside most tools' calls, and long enough for company at
/// some ten jobs a second.
const GATHER: Duration = Duration::from_millis(25);

/// The most bytes of one request: DynamoDB takes 4 MB a transaction.
const MAX_BYTES: usize = 3 * 1024 * 1024;

type Answer<A> = Result<A, LedgerError>;

struct Waiting<T, A> {
    write: T,
    bytes: usize,
    reply: oneshot::Sender<Answer<A>>,
}

/// Writes that wait, by the item they meet on.
pub(super) struct Gather<K, T, A> {
    groups: Mutex<HashMap<K, Vec<Waiting<T, A>>>>,
    most: usize,
}

impl<K, T, A> Gather<K, T, A>
where
    K: Copy + Eq + Hash + Send + 'static,
    T: Send + 'static,
    A: Send + 'static,
{
    /// Groups of `most` writes.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { groups: Mutex::default(), most })
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<K, Vec<Waiting<T, A>>>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has `write` done together with others of its key: `work` answers each of a group, in order.
    pub(super) async fn submit<W>(
        self: &Arc<Self>,
        key: K,
        write: T,
        bytes: usize,
        work: impl Fn(Vec<T>) -> W + Send + 'static,
    ) -> Answer<A>
    where
        W: Future<Output = Vec<Answer<A>>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let waiting = Waiting { write, bytes, reply };
        let is_first = {
            let mut groups = self.groups();
            let is_first = !groups.contains_key(&key);
            groups.entry(key).or_default().push(waiting);
            is_first
        };
        if is_first {
            let turn = Turn { gather: Arc::clone(self), key, is_over: false };
            // A task of its own: whoever came first may be dropped while others wait.
            tokio::spawn(turn.work_off(work));
        }
        answer.await.map_err(|_| LedgerError("a write was given up".to_owned()))?
    }
}

/// The right to work off a key's writes, given up when dropped.
struct Turn<K: Copy + Eq + Hash, T, A> {
    gather: Arc<Gather<K, T, A>>,
    key: K,
    is_over: bool,
}

impl<K: Copy + Eq + Hash, T, A> Drop for Turn<K, T, A> {
    /// Cut off in the middle, it leaves nobody waiting for it.
    fn drop(&mut self) {
        if !self.is_over {
            let groups = &self.gather.groups;
            groups.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
        }
    }
}

impl<K, T, A> Turn<K, T, A>
where
    K: Copy + Eq + Hash + Send + 'static,
    T: Send + 'static,
    A: Send + 'static,
{
    async fn work_off<W>(mut self, work: impl Fn(Vec<T>) -> W + Send)
    where
        W: Future<Output = Vec<Answer<A>>> + Send,
    {
        sleep(GATHER).await;
        while let Some(group) = self.next_group() {
            let (writes, replies): (Vec<_>, Vec<_>) =
                group.into_iter().map(|waiting| (waiting.write, waiting.reply)).unzip();
            for (reply, answer) in replies.into_iter().zip(work(writes).await) {
                // A caller that left does not want to know.
                let _ = reply.send(answer);
            }
        }
    }

    /// What goes together now; with the last of them, the key is free again.
    fn next_group(&mut self) -> Option<Vec<Waiting<T, A>>> {
        let mut groups = self.gather.groups();
        let waiting = groups.get_mut(&self.key)?;
        if waiting.is_empty() {
            groups.remove(&self.key);
            self.is_over = true;
            return None;
        }
        let mut bytes = 0;
        let fitting = waiting.iter().take(self.gather.most).take_while(|one| {
            bytes += one.bytes;
            bytes <= MAX_BYTES
        });
        let count = fitting.count().max(1);
        Some(waiting.drain(..count).collect())
    }
}
