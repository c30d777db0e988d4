//! What a proxy is told to do to some requests.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use super::call::AwsCall;
use super::chance::Chance;
use super::fault::Fault;
use crate::server::lock;

/// What to do to which requests, before or after they are carried out.
///
/// ```
/// use mcp_batch_testkit::{Fault, Rule};
///
/// // Every third request to DynamoDB fails, the same ones in every run.
/// let throttled = Rule::before("dynamodb").share(0.3, 1).fail(Fault::Throttled);
/// // The second update is written, but its answer is lost.
/// let lost = Rule::after("UpdateItem").nth(2).lose();
/// // The worker dies before its first delete, which then never happens.
/// let crash = Rule::before("DeleteMessageBatch").nth(1).run(|| { /* kill it */ }).lose();
/// ```
#[derive(Debug)]
#[must_use]
pub struct Rule {
    pub(super) moment: Moment,
    name: String,
    condition: Option<Condition>,
    which: Mutex<Which>,
    pub(super) steps: Vec<Step>,
}

/// When a rule applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    Before,
    After,
}

/// Which of the requests that match.
#[derive(Debug)]
enum Which {
    Every,
    Countdown { skip: usize, take: usize },
    Share(Chance),
}

/// One thing to do, in the order they were named.
#[derive(Debug)]
pub(super) enum Step {
    Run(Action),
    Delay(Duration),
    Hold,
    Lose,
    Fail(Fault),
    FailEntries(Mutex<Chance>),
    LeaveOut(Mutex<Chance>),
}

/// A condition of a test's own.
struct Condition(Box<dyn Fn(&AwsCall) -> bool + Send + Sync>);

/// A deed of a test's own.
pub(super) struct Action(pub(super) Box<dyn Fn() + Send + Sync>);

impl Rule {
    /// Applies before a request is carried out. `name` is an operation or a service, as in
    /// [`AwsCall`], or `*`.
    pub fn before(name: &str) -> Self {
        Self::new(Moment::Before, name)
    }

    /// Applies after a request was carried out, before its answer is handed back.
    pub fn after(name: &str) -> Self {
        Self::new(Moment::After, name)
    }

    /// Only to requests of which this holds as well.
    pub fn when(mut self, condition: impl Fn(&AwsCall) -> bool + Send + Sync + 'static) -> Self {
        self.condition = Some(Condition(Box::new(condition)));
        self
    }

    /// Only to the `n`th of the requests that match, counted from 1.
    pub fn nth(self, n: usize) -> Self {
        self.which(Which::Countdown { skip: n.saturating_sub(1), take: 1 })
    }

    /// Only to the first `n` of the requests that match.
    pub fn first(self, n: usize) -> Self {
        self.which(Which::Countdown { skip: 0, take: n })
    }

    /// Only to a share of the requests that match, from 0 to 1. The same seed picks the same ones,
    /// by the order in which they come.
    pub fn share(self, share: f64, seed: u64) -> Self {
        self.which(Which::Share(Chance::new(share, seed)))
    }

    /// Runs this, on the proxy's own thread: it must not wait for the proxy.
    pub fn run(self, action: impl Fn() + Send + Sync + 'static) -> Self {
        self.step(Step::Run(Action(Box::new(action))))
    }

    /// Waits this long.
    pub fn delay(self, delay: Duration) -> Self {
        self.step(Step::Delay(delay))
    }

    /// Waits until [`Watch::release`](super::Watch::release).
    pub fn hold(self) -> Self {
        self.step(Step::Hold)
    }

    /// Closes the connection: before, the request is never carried out; after, its answer is lost.
    pub fn lose(self) -> Self {
        self.step(Step::Lose)
    }

    /// Answers an error: before, the request is never carried out; after, it was all the same.
    pub fn fail(self, fault: Fault) -> Self {
        self.step(Step::Fail(fault))
    }

    /// Of a batch request to SQS, lets a share of the entries fail. Only before.
    pub fn fail_entries(self, share: f64, seed: u64) -> Self {
        self.step(Step::FailEntries(Mutex::new(Chance::new(share, seed))))
    }

    /// Leaves a share of the items out of the answer to a query: an index that comes late. Only
    /// after.
    pub fn leave_out(self, share: f64, seed: u64) -> Self {
        self.step(Step::LeaveOut(Mutex::new(Chance::new(share, seed))))
    }

    /// Whether it is this request's turn; counts those that match.
    pub(super) fn takes(&self, moment: Moment, call: &AwsCall) -> bool {
        let matches = self.moment == moment
            && (self.name == "*" || call.is(&self.name))
            && self.condition.as_ref().is_none_or(|condition| (condition.0)(call));
        matches && lock(&self.which).take()
    }

    fn new(moment: Moment, name: &str) -> Self {
        let which = Mutex::new(Which::Every);
        Self { moment, name: name.to_owned(), condition: None, which, steps: Vec::new() }
    }

    fn which(mut self, which: Which) -> Self {
        self.which = Mutex::new(which);
        self
    }

    fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }
}

impl Which {
    fn take(&mut self) -> bool {
        match self {
            Self::Every => true,
            Self::Share(chance) => chance.hits(),
            Self::Countdown { take: 0, .. } => false,
            Self::Countdown { skip: 0, take } => {
                *take -= 1;
                true
            }
            Self::Countdown { skip, .. } => {
                *skip -= 1;
                false
            }
        }
    }
}

impl fmt::Debug for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Condition")
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Action")
    }
}
