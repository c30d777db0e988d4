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

/// Names above which those are forgotten whose answers are not believed any more.
const NAMES_KEPT: usize = 256;

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
            names.retain(|_, answered| is_wanted(answered));
        }
        Arc::clone(names.entry(host.to_owned()).or_default())
    }
}

/// Somebody asks for it, or its answer is still believed.
fn is_wanted(answered: &Arc<Answered>) -> bool {
    let is_asked = Arc::strong_count(answered) > 1;
    let until = answered.try_lock().ok().and_then(|answer| *answer).map(|(_, until)| until);
    is_asked || until.is_some_and(|until| Instant::now() < until)
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}
