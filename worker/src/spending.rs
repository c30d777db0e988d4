//! **Spending**: what the jobs of a ledger used, added up. It reads the whole ledger, page by page, which no job
//! ever does.

use std::{
    collections::{BTreeMap, HashMap},
    future::Future,
};

use serde::Serialize;

use crate::{
    clock::UnixMs,
    fan_in::BatchKey,
    job::{Namespace, Tenant, ToolName},
    lease::{Ledger, LedgerError, Usage},
};

/// What one job used.
#[derive(Clone, Debug)]
pub struct Spent {
    /// Whose job it is.
    pub namespace: Namespace,
    /// The tool it called.
    pub tool: ToolName,
    /// Whose fair share it was.
    pub tenant: Option<Tenant>,
    /// The batches it is counted in.
    pub batches: Vec<BatchKey>,
    /// When it came to its present state.
    pub settled: UnixMs,
    /// Whether it is done.
    pub is_done: bool,
    /// What all its attempts used.
    pub usage: Usage,
}

/// A part of the ledger.
#[derive(Debug)]
pub struct Page {
    /// What its jobs used.
    pub jobs: Vec<Spent>,
    /// Where the next one begins; `None` at the end.
    pub next: Option<String>,
}

/// A ledger that can be read from one end to the other.
pub trait Books: Send + Sync {
    /// A page of it, the first without `after`. What is written meanwhile may be seen or not.
    fn page(&self, after: Option<String>)
    -> impl Future<Output = Result<Page, LedgerError>> + Send;
}

/// What several jobs used.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Sum {
    /// How many.
    pub jobs: u64,
    /// How many of them are done.
    pub done: u64,
    /// Jobs with calls that may have been billed and told no cost.
    pub unpriced_jobs: u64,
    /// All together.
    #[serde(flatten)]
    pub usage: Usage,
}

impl Sum {
    /// Adds a job.
    pub fn add(&mut self, spent: &Spent) {
        self.jobs += 1;
        self.done += u64::from(spent.is_done);
        self.unpriced_jobs += u64::from(spent.usage.unpriced_calls > 0);
        self.usage = self.usage.plus(&spent.usage);
    }
}

/// What jobs are added up by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Their tool.
    Tool,
    /// The model that answered.
    Model,
    /// Their batch.
    Batch,
    /// Their tenant.
    Tenant,
    /// The day, in UTC, on which they came to their present state.
    Day,
}

/// Which jobs are meant.
#[derive(Clone, Debug, Default)]
pub struct Meant {
    /// Those of this namespace.
    pub namespace: Option<Namespace>,
    /// Those that came to their present state since then.
    pub since: Option<UnixMs>,
}

/// What the jobs of a ledger used.
#[derive(Debug, Default)]
pub struct Spending {
    /// All of them.
    pub all: Sum,
    /// Those that have something in common, by its name; without one those that have none.
    pub groups: BTreeMap<Option<String>, Sum>,
}

/// Reads the ledger and adds up. A job in two batches is in both of their sums.
pub async fn spending<L: Ledger + Books>(
    ledger: &L,
    by: By,
    meant: &Meant,
) -> Result<Spending, LedgerError> {
    let mut spending = Spending::default();
    let mut batches = Names { ledger, known: HashMap::new() };
    let mut after = None;
    loop {
        let Page { jobs, next } = ledger.page(after).await?;
        for spent in jobs.iter().filter(|spent| meant.is_met_by(spent)) {
            spending.all.add(spent);
            for group in batches.groups_of(spent, by).await? {
                spending.groups.entry(group).or_default().add(spent);
            }
        }
        match next {
            None => return Ok(spending),
            next => after = next,
        }
    }
}

/// The ids of batches by their keys.
struct Names<'a, L> {
    ledger: &'a L,
    known: HashMap<BatchKey, String>,
}

impl<L: Ledger> Names<'_, L> {
    async fn groups_of(
        &mut self,
        spent: &Spent,
        by: By,
    ) -> Result<Vec<Option<String>>, LedgerError> {
        Ok(match by {
            By::Tool => vec![Some(spent.tool.as_str().to_owned())],
            By::Model => vec![spent.usage.model.clone()],
            By::Tenant => vec![spent.tenant.as_ref().map(|tenant| tenant.as_str().to_owned())],
            By::Day => vec![spent.settled.rfc3339().get(..10).map(str::to_owned)],
            By::Batch if spent.batches.is_empty() => vec![None],
            By::Batch => {
                let mut groups = Vec::new();
                for key in &spent.batches {
                    groups.push(Some(self.name(*key).await?));
                }
                groups
            }
        })
    }

    /// The key itself, where the ledger has forgotten the batch.
    async fn name(&mut self, key: BatchKey) -> Result<String, LedgerError> {
        if let Some(name) = self.known.get(&key) {
            return Ok(name.clone());
        }
        let batch = self.ledger.batch(key).await?;
        let name = batch.map_or_else(|| format!("{key:?}"), |batch| batch.id.as_str().to_owned());
        self.known.insert(key, name.clone());
        Ok(name)
    }
}

impl Meant {
    fn is_met_by(&self, spent: &Spent) -> bool {
        self.namespace.as_ref().is_none_or(|namespace| *namespace == spent.namespace)
            && self.since.is_none_or(|since| spent.settled >= since)
    }
}
