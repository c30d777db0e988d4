//! What lies with the dead letters, counted: by what they are, and by what a replay would do with them.

use std::{
    collections::{BTreeMap, HashSet, btree_map::Entry},
    time::Duration,
};

use serde::Serialize;

use super::{Action, Case, DeadLetters, Desk, Edits, Filter, LeftBecause, Standing, pass::Pass};
use crate::{batch::Stop, clock::UnixMs, error::ErrorClass, lease::Ledger};

/// Ids that are told of a group.
const EXAMPLES: usize = 3;

/// How long a letter has lain there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Age {
    /// Less than an hour.
    Hour,
    /// Less than a day.
    Day,
    /// Less than a week.
    Week,
    /// A week or more.
    Older,
}

impl Age {
    fn of(age: Duration) -> Self {
        match age.as_secs() {
            0..3_600 => Self::Hour,
            3_600..86_400 => Self::Day,
            86_400..604_800 => Self::Week,
            _ => Self::Older,
        }
    }
}

/// Letters that have all this in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Kind {
    /// The class of their failure; none where a queue's redrive policy put them there.
    pub class: Option<&'static str>,
    /// Its code.
    pub code: Option<String>,
    /// Their tool, if they name one.
    pub tool: Option<String>,
    /// How long they have lain there.
    pub age: Age,
    /// Where their jobs stand.
    pub standing: Standing,
    /// What a replay would do with them.
    pub action: &'static str,
    /// Why it would leave them, if it would.
    pub left_because: Option<&'static str>,
}

/// How many there are of a kind.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// What they have in common.
    #[serde(flatten)]
    pub kind: Kind,
    /// How many.
    pub letters: u64,
    /// When the oldest was put there.
    pub oldest: UnixMs,
    /// When the latest was.
    pub latest: UnixMs,
    /// A few of their jobs' ids, or of the letters' where the job has none.
    pub examples: Vec<String>,
    /// What is wrong with one of them, if a replay leaves them for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Group {
    fn add(&mut self, other: &Self) {
        self.letters += other.letters;
        self.oldest = self.oldest.min(other.oldest);
        self.latest = self.latest.max(other.latest);
        self.examples.extend(other.examples.iter().cloned());
        self.examples.truncate(EXAMPLES);
        self.problem = self.problem.take().or_else(|| other.problem.clone());
    }
}

/// What lies there.
#[derive(Debug, Default)]
pub struct Survey {
    /// Letters that were looked at.
    pub seen: usize,
    /// There may be more than were looked at.
    pub is_cut_off: bool,
    /// Somebody asked for it to stop: there are more than were looked at.
    pub is_stopped: bool,
    /// About how many letters somebody else hides now.
    pub hidden: usize,
    /// Those that are meant, by kind.
    pub groups: Vec<Group>,
}

impl Survey {
    /// The groups as whoever does not ask for all of a kind sees them: those that have in common what `told` leaves of
    /// theirs are one.
    pub fn folded(&self, told: impl Fn(&Kind) -> Kind) -> Vec<Group> {
        let mut folded = BTreeMap::<Kind, Group>::new();
        for group in &self.groups {
            match folded.entry(told(&group.kind)) {
                Entry::Occupied(mut known) => known.get_mut().add(group),
                Entry::Vacant(new) => {
                    new.insert(group.clone());
                }
            }
        }
        largest_first(folded)
    }

    /// How many are meant.
    pub fn letters(&self) -> u64 {
        self.groups.iter().map(|group| group.letters).sum()
    }
}

/// Looks at all letters, `limit` at most, and changes nothing; once it is to `stop`, those that it took are put
/// back at once. Those that are meant are handed to `each` as well, one after another.
pub async fn survey<S: DeadLetters, L: Ledger>(
    source: &S,
    desk: &Desk<'_, L>,
    filter: &Filter,
    edits: &Edits,
    (limit, stop): (usize, &Stop),
    mut each: impl FnMut(&Case) + Send,
) -> anyhow::Result<Survey> {
    let mut pass = Pass::of(source, limit);
    let mut count = Count::default();
    let surveyed = async {
        loop {
            let letters = if stop.is_draining() { Vec::new() } else { pass.next().await? };
            if letters.is_empty() {
                break pass.hidden_elsewhere().await;
            }
            for case in desk.cases(letters, filter, edits).await.map_err(anyhow::Error::new)? {
                each(&case);
                count.add(case, desk.clock.now());
            }
        }
        .map_err(anyhow::Error::new)
    }
    .await;
    let (seen, is_cut_off) = (pass.seen(), pass.is_cut_off());
    let is_stopped = stop.is_draining();
    pass.end().await;
    Ok(Survey { seen, is_cut_off, is_stopped, hidden: surveyed?, groups: count.groups() })
}

#[derive(Default)]
struct Count {
    groups: BTreeMap<Kind, Group>,
    jobs: HashSet<crate::job::JobKey>,
}

impl Count {
    fn add(&mut self, mut case: Case, now: UnixMs) {
        if let Action::Replay(replay, _) | Action::Tell(replay) = &case.action
            && !self.jobs.insert(replay.job)
        {
            case.action = Action::Leave(LeftBecause::Repeated);
        }
        let kind = kind(&case, now);
        let buried = case.letter.buried;
        let group = self.groups.entry(kind.clone()).or_insert_with(|| Group {
            kind,
            letters: 0,
            oldest: buried,
            latest: buried,
            examples: Vec::new(),
            problem: None,
        });
        group.letters += 1;
        group.oldest = group.oldest.min(buried);
        group.latest = group.latest.max(buried);
        if group.examples.len() < EXAMPLES {
            group.examples.push(case.job_id.unwrap_or(case.letter.id.0));
        }
        if let (Action::Leave(because), None) = (&case.action, &group.problem) {
            group.problem = because.problem();
        }
    }

    /// The largest first.
    fn groups(self) -> Vec<Group> {
        largest_first(self.groups)
    }
}

fn largest_first(groups: BTreeMap<Kind, Group>) -> Vec<Group> {
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.letters));
    groups
}

fn kind(case: &Case, now: UnixMs) -> Kind {
    let reason = case.letter.reason.as_ref();
    Kind {
        class: reason.map(|reason| ErrorClass::as_str(reason.class)),
        code: reason.and_then(|reason| reason.code.clone()),
        tool: case.tool.clone(),
        age: Age::of(now.since(case.letter.buried)),
        standing: case.standing,
        action: case.action.as_str(),
        left_because: match &case.action {
            Action::Leave(because) => Some(because.as_str()),
            _ => None,
        },
    }
}
