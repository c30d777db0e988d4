//! Whose turn it is: so many deliveries at once to one host, so many to all of them, in the order
//! they came. A host that answers slowly, or fails, keeps back its own deliveries, not those of
//! others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::{Instant, sleep_until, timeout},
};

use super::{NotTried, answer::Answer, breaker::Breaker};

/// Hosts above which those are forgotten that nobody delivers to.
const HOSTS_KEPT: usize = 256;

/// A host whose turns were all held for so long has none soon: nobody waits for it.
const STALLED: Duration = Duration::from_secs(5);

/// The bounds of one process.
#[derive(Debug)]
pub(super) struct Turns {
    per_host: usize,
    hosts: Mutex<HashMap<String, Arc<Host>>>,
    all: Semaphore,
}

/// One host and port.
#[derive(Debug)]
struct Host {
    turns: Arc<Semaphore>,
    breaker: Breaker,
    /// When a turn was last taken or given back.
    moved: Mutex<Instant>,
}

/// One delivery's turn, over when dropped. Nobody closes what it is taken from, so both are there.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    host: Arc<Host>,
    _of_host: Option<OwnedSemaphorePermit>,
    _of_all: Option<SemaphorePermit<'a>>,
}

impl Turn<'_> {
    /// Notes how the delivery ended, for those that come after it.
    pub(super) fn note(&self, answer: &Answer) {
        self.host.breaker.note(answer, Instant::now());
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.host.move_on();
    }
}

impl Turns {
    pub(super) fn new(per_host: usize, in_all: usize) -> Self {
        Self { per_host, hosts: Mutex::default(), all: Semaphore::new(in_all) }
    }

    /// Waits for a turn at `host`, at most so long. The host comes first: who waits for it takes
    /// nothing from others.
    pub(super) async fn next(
        &self,
        host: String,
        longest_wait: Duration,
    ) -> Result<Turn<'_>, NotTried> {
        let host = self.host(host);
        host.check()?;
        let turn =
            timeout(longest_wait, self.turn_at(&host)).await.map_err(|_| NotTried::NoTurn)??;
        // Those before it may have found the host failing.
        host.check()?;
        Ok(turn)
    }

    async fn turn_at(&self, host: &Arc<Host>) -> Result<Turn<'_>, NotTried> {
        let of_host = tokio::select! {
            biased;
            permit = Arc::clone(&host.turns).acquire_owned() => permit.ok(),
            () = host.stalled() => return Err(NotTried::NoTurn),
        };
        host.move_on();
        let _of_all = self.all.acquire().await.ok();
        Ok(Turn { host: Arc::clone(host), _of_host: of_host, _of_all })
    }

    fn host(&self, name: String) -> Arc<Host> {
        let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
        if hosts.len() >= HOSTS_KEPT && !hosts.contains_key(&name) {
            hosts.retain(|_, host| Arc::strong_count(host) > 1 || host.check().is_err());
        }
        Arc::clone(hosts.entry(name).or_insert_with(|| Arc::new(Host::new(self.per_host))))
    }
}

impl Host {
    fn new(turns: usize) -> Self {
        Self {
            turns: Arc::new(Semaphore::new(turns)),
            breaker: Breaker::default(),
            moved: Mutex::new(Instant::now()),
        }
    }

    fn check(&self) -> Result<(), NotTried> {
        match self.breaker.open_for(Instant::now()) {
            Some(after) => Err(NotTried::Failing { after }),
            None => Ok(()),
        }
    }

    fn moved(&self) -> MutexGuard<'_, Instant> {
        self.moved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn move_on(&self) {
        *self.moved() = Instant::now();
    }

    /// Returns when no turn was taken or given back for long.
    async fn stalled(&self) {
        loop {
            let until = *self.moved() + STALLED;
            if until <= Instant::now() {
                return;
            }
            sleep_until(until).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A turn that is there now.
    async fn now<'a>(turns: &'a Turns, host: &str) -> Option<Turn<'a>> {
        turns.next(host.to_owned(), Duration::ZERO).await.ok()
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
        let waiting = turns.next("a:80".to_owned(), Duration::from_secs(60));
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

    #[tokio::test]
    async fn a_host_that_fails_again_and_again_has_no_turns_for_a_while() {
        let turns = Turns::new(5, 10);
        for _ in 0..5 {
            let turn = now(&turns, "a:80").await.expect("it may be well");
            turn.note(&Answer::Lost);
        }
        let refused = turns.next("a:80".to_owned(), Duration::ZERO).await.expect_err("it is not");
        assert!(matches!(refused, NotTried::Failing { after } if !after.is_zero()));
        assert!(now(&turns, "a:81").await.is_some(), "that is another one");
        for number in 0..2 * HOSTS_KEPT {
            drop(now(&turns, &format!("host-{number}:80")).await);
        }
        assert!(now(&turns, "a:80").await.is_none(), "and it is not forgotten");
    }
}
