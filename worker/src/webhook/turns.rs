//! Whose turn it is: so many deliveries at once to one host, so many to all of them, in the order
//! they came. A host that answers slowly keeps back its own deliveries, not those of others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// Hosts above which those are forgotten that nobody delivers to.
const HOSTS_KEPT: usize = 256;

/// The bounds of one process.
#[derive(Debug)]
pub(super) struct Turns {
    per_host: usize,
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
    all: Semaphore,
}

/// One delivery's turn, over when dropped. Nobody closes what it is taken from, so both are there.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _of_host: Option<OwnedSemaphorePermit>,
    _of_all: Option<SemaphorePermit<'a>>,
}

impl Turns {
    pub(super) fn new(per_host: usize, in_all: usize) -> Self {
        Self { per_host, hosts: Mutex::default(), all: Semaphore::new(in_all) }
    }

    /// Waits for a turn at `host`. The host comes first: who waits for it takes nothing from others.
    pub(super) async fn next(&self, host: String) -> Turn<'_> {
        let of_host = self.of_host(host).acquire_owned().await.ok();
        Turn { _of_host: of_host, _of_all: self.all.acquire().await.ok() }
    }

    fn of_host(&self, host: String) -> Arc<Semaphore> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= HOSTS_KEPT && !hosts.contains_key(&host) {
            hosts.retain(|_, turns| Arc::strong_count(turns) > 1);
        }
        Arc::clone(hosts.entry(host).or_insert_with(|| Arc::new(Semaphore::new(self.per_host))))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    /// A turn that is there now.
    async fn now<'a>(turns: &'a Turns, host: &str) -> Option<Turn<'a>> {
        timeout(Duration::ZERO, turns.next(host.to_owned())).await.ok()
    }

    #[tokio::test]
    async fn a_host_has_so_many_turns_and_all_of_them_together_so_many() {
        let turns = Turns::new(2, 3);
        let (one, two) = (now(&turns, "a:80").await, now(&turns, "a:80").await);
        assert!(one.is_some() && two.is_some());
        assert!(now(&turns, "a:80").await.is_none(), "two at once");

        let other = now(&turns, "a:81").await;
        assert!(other.is_some(), "another port is another host");
        assert!(now(&turns, "b:80").await.is_none(), "three in all");

        drop(one);
        assert!(now(&turns, "a:80").await.is_some());
    }

    #[tokio::test]
    async fn who_waits_for_a_host_takes_nothing_from_others() {
        let turns = Turns::new(1, 2);
        let _busy = now(&turns, "a:80").await.expect("it is free");
        let waiting = turns.next("a:80".to_owned());
        tokio::pin!(waiting);
        assert!(timeout(Duration::ZERO, &mut waiting).await.is_err());
        assert!(now(&turns, "b:80").await.is_some());
    }

    #[tokio::test]
    async fn hosts_are_forgotten_but_for_those_in_use() {
        let turns = Turns::new(1, 10_000);
        let _busy = now(&turns, "a:80").await.expect("it is free");
        for number in 0..3 * HOSTS_KEPT {
            assert!(now(&turns, &format!("host-{number}:80")).await.is_some());
        }
        assert!(turns.hosts.lock().expect("nobody panics with it").len() <= HOSTS_KEPT);
        assert!(now(&turns, "a:80").await.is_none(), "it is still in use");
    }
}
