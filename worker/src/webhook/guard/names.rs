//! Names of hosts, looked up before a job is paid for: one that leads to private addresses alone is
//! refused by then. It is a hint all the same. The connection looks the name up itself once more, and
//! what is judged there is what is dialled.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout};

use super::resolver::{Lookup, public_of};

/// How long an answer is believed.
const KEPT: Duration = Duration::from_secs(30);

/// How long no answer is: a thousand jobs do not ask for the same name one after another.
const FAILURE_KEPT: Duration = Duration::from_secs(1);

/// The most names that are kept, beside those that somebody is asking for: each takes some 400 bytes at
/// most, and one that is forgotten costs a look-up more.
const NAMES_KEPT: usize = 1_024;

/// Where a name leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::webhook) enum Leads {
    /// At least one address is public.
    Public,
    /// All its addresses are refused.
    Private,
    /// Nobody knows now.
    Nowhere,
}

/// A name's latest answer, and until when it is believed. Whoever holds the lock asks.
type Answered = tokio::sync::Mutex<Option<(Leads, Instant)>>;

/// Names that were looked up lately.
pub(in crate::webhook) struct Names {
    lookup: Arc<dyn Lookup>,
    longest_lookup: Duration,
    answered: Mutex<HashMap<String, Arc<Answered>>>,
}

impl Names {
    pub(in crate::webhook) fn new(lookup: Arc<dyn Lookup>, longest_lookup: Duration) -> Self {
        Self { lookup, longest_lookup, answered: Mutex::default() }
    }

    /// Where `host` leads, as far as is known: asked once for all who want to know at the same time.
    pub(in crate::webhook) async fn leads(&self, host: &str) -> Leads {
        let answered = self.answered(host);
        let mut answer = answered.lock().await;
        if let Some((leads, until)) = *answer
            && Instant::now() < until
        {
            return leads;
        }
        let leads = self.ask(host).await;
        let kept = if leads == Leads::Nowhere { FAILURE_KEPT } else { KEPT };
        *answer = Some((leads, Instant::now() + kept));
        leads
    }

    async fn ask(&self, host: &str) -> Leads {
        let looked_up = timeout(self.longest_lookup, self.lookup.addresses(host.to_owned())).await;
        match looked_up {
            Ok(Ok(addresses)) if addresses.is_empty() => Leads::Nowhere,
            Ok(Ok(addresses)) => match public_of(addresses) {
                Ok(_) => Leads::Public,
                Err(_) => Leads::Private,
            },
            Ok(Err(_)) | Err(_) => Leads::Nowhere,
        }
    }

    fn answered(&self, host: &str) -> Arc<Answered> {
        let mut names = self.answered.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= NAMES_KEPT && !names.contains_key(host) {
            names.retain(|_, answered| is_asked(answered) || is_believed(answered));
            if names.len() >= NAMES_KEPT {
                names.retain(|_, answered| is_asked(answered));
            }
        }
        Arc::clone(names.entry(host.to_owned()).or_default())
    }
}

/// Somebody asks for it now.
fn is_asked(answered: &Arc<Answered>) -> bool {
    Arc::strong_count(answered) > 1
}

fn is_believed(answered: &Arc<Answered>) -> bool {
    let until = answered.try_lock().ok().and_then(|answer| *answer).map(|(_, until)| until);
    until.is_some_and(|until| Instant::now() < until)
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::Future, io, net::SocketAddr, pin::Pin};

    use super::*;

    /// Knows every name.
    struct Everywhere;

    impl Lookup for Everywhere {
        fn addresses(
            &self,
            _: String,
        ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send>> {
            Box::pin(async { Ok(vec![([192, 31, 196, 1], 0).into()]) })
        }
    }

    #[tokio::test]
    async fn names_are_bounded_though_all_answers_are_still_believed() {
        let names = Names::new(Arc::new(Everywhere), Duration::from_secs(1));
        for number in 0..3 * NAMES_KEPT {
            assert_eq!(names.leads(&format!("host-{number}.example.com")).await, Leads::Public);
        }
        let kept = names.answered.lock().expect("nobody panics with it").len();
        assert!((1..=NAMES_KEPT).contains(&kept), "{kept}");
    }
}
