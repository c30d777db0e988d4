//! The callback that an outcome is owed to, and what became of it so far.

use std::time::Duration;

use crate::{clock::UnixMs, job::Callback};

/// The callback that an outcome is owed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackSlot {
    /// Where it goes.
    pub callback: Callback,
    /// Whether it got there.
    pub state: CallbackState,
    /// Deliveries that failed, the one included for which it was given up.
    pub failures: u32,
    /// When the first of them was.
    pub failing_since: Option<UnixMs>,
    /// How many of them, the latest ones in a row, were refusals.
    pub refusals: u32,
    /// When the first of those in a row was.
    pub refused_since: Option<UnixMs>,
    /// One of them may have got through: nobody saw how it ended. It stays so.
    pub may_have_arrived: bool,
    /// When the next try is due after one that failed. Before the first one nobody can say.
    pub due: Option<UnixMs>,
}

impl CallbackSlot {
    /// A callback that is yet to be sent.
    pub fn pending(callback: Callback) -> Self {
        Self {
            callback,
            state: CallbackState::Pending,
            failures: 0,
            failing_since: None,
            refusals: 0,
            refused_since: None,
            may_have_arrived: false,
            due: None,
        }
    }

    /// How long it is still to be left alone.
    pub fn due_after(&self, now: UnixMs) -> Duration {
        self.due.map_or(Duration::ZERO, |due| due.since(now))
    }

    /// Puts the next try off, if there is to be one.
    pub fn put_off(&mut self, until: UnixMs) {
        if self.state == CallbackState::Pending {
            self.due = Some(until);
        }
    }

    /// Somebody comes upon it who did not make it due: unless a try was noted, the first one may have been
    /// cut off, by the end of whoever made it.
    pub fn come_upon(&mut self) {
        self.may_have_arrived |= self.state == CallbackState::Pending && self.failures == 0;
    }

    /// A delivery that is over stays so.
    pub fn note(&mut self, delivery: Delivery, now: UnixMs) {
        match (self.state, delivery) {
            (_, Delivery::Sent) => self.state = CallbackState::Sent,
            (CallbackState::Pending, Delivery::Dead(why)) => {
                self.failures = self.failures.saturating_add(1);
                self.state = CallbackState::Dead(why);
            }
            (CallbackState::Pending, Delivery::Failed(failure)) => self.note_failure(failure, now),
            _ => {}
        }
    }

    fn note_failure(&mut self, failure: Failure, now: UnixMs) {
        self.failures = self.failures.saturating_add(1);
        self.failing_since.get_or_insert(now);
        if failure == Failure::Refused {
            self.refusals = self.refusals.saturating_add(1);
            self.refused_since.get_or_insert(now);
        } else {
            (self.refusals, self.refused_since) = (0, None);
        }
        self.may_have_arrived |= failure == Failure::Unknown;
    }

    /// Makes it due again, with all tries before it, whatever became of it.
    pub fn renew(&mut self) {
        self.may_have_arrived |= self.state == CallbackState::Sent;
        self.state = CallbackState::Pending;
        self.failures = 0;
        self.failing_since = None;
        self.refusals = 0;
        self.refused_since = None;
        self.due = None;
    }

    /// What a try that ends now comes to: a callback that has failed for `max_age` fails for good. It
    /// has all that time from its own first failure on, however late that was.
    #[must_use]
    pub fn judged(&self, delivery: Delivery, now: UnixMs, max_age: Duration) -> Delivery {
        let is_spent = self.failing_since.is_some_and(|since| now.since(since) >= max_age);
        match delivery {
            Delivery::Failed(_) if is_spent => Delivery::Dead(WhyDead::Exhausted),
            delivery => delivery,
        }
    }
}

/// Whether a callback got where it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallbackState {
    /// Not yet.
    Pending,
    /// The receiver took it.
    Sent,
    /// It was given up; a person can have it sent again.
    Dead(WhyDead),
}

impl CallbackState {
    /// One word, as stores and people see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Dead(why) => why.name(),
        }
    }

    /// Reads what [`name`](Self::name) wrote.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "pending" => Some(Self::Pending),
            "sent" => Some(Self::Sent),
            _ => WhyDead::from_name(name).map(Self::Dead),
        }
    }
}

/// Why a callback was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyDead {
    /// Nobody waits for it there any more, or ever did.
    ReceiverGone,
    /// The receiver does not want it.
    Refused,
    /// It may not be sent there: the address guard forbids it.
    AddressRefused,
    /// Its time was over before the receiver took it.
    Exhausted,
}

impl WhyDead {
    const ALL: [Self; 4] =
        [Self::ReceiverGone, Self::Refused, Self::AddressRefused, Self::Exhausted];

    /// One word, as stores and people see it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReceiverGone => "receiver_gone",
            Self::Refused => "refused",
            Self::AddressRefused => "address_refused",
            Self::Exhausted => "exhausted",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.name() == name)
    }
}

/// How a try to deliver a callback ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The receiver took it.
    Sent,
    /// The receiver did not take it this time, as far as is known.
    Failed(Failure),
    /// It never will.
    Dead(WhyDead),
}

/// What a failed delivery says of the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It did not get through, for now.
    NotTaken,
    /// It may have got through: the answer did not come, or told of an error in the middle.
    Unknown,
    /// The receiver said no, which seldom changes.
    Refused,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slot() -> CallbackSlot {
        let url = "https://n8n.example.com/webhook-waiting/1".to_owned();
        CallbackSlot::pending(Callback::from_url(url).expect("a URL"))
    }

    #[test]
    fn refusals_are_counted_in_a_row_and_a_doubtful_try_is_never_forgotten() {
        let mut slot = slot();
        let failures = [
            Failure::Refused,
            Failure::Refused,
            Failure::Unknown,
            Failure::NotTaken,
            Failure::Refused,
        ];
        let refusals = failures.map(|failure| {
            slot.note(Delivery::Failed(failure), UnixMs(7));
            slot.refusals
        });
        assert_eq!(refusals, [1, 2, 0, 0, 1]);
        assert_eq!((slot.failures, slot.may_have_arrived), (5, true));
    }

    #[test]
    fn a_callback_is_given_up_so_long_after_its_own_first_failure() {
        let (failed, day) = (Delivery::Failed(Failure::NotTaken), Duration::from_hours(24));
        let mut slot = slot();
        let years_later = UnixMs(86_400_000 * 1_000);
        assert_eq!(slot.judged(failed, years_later, day), failed, "nothing was tried before");
        slot.note(failed, years_later);
        slot.note(failed, years_later.plus(day / 2));
        assert_eq!(slot.judged(failed, years_later.plus(day * 9 / 10), day), failed);
        let spent = years_later.plus(day);
        assert_eq!(slot.judged(failed, spent, day), Delivery::Dead(WhyDead::Exhausted));
        assert_eq!(slot.judged(Delivery::Sent, spent, day), Delivery::Sent);
        slot.renew();
        assert_eq!(slot.judged(failed, spent, day), failed, "a person made it due anew");
    }

    #[test]
    fn refusals_in_a_row_are_dated_from_their_first() {
        let mut slot = slot();
        for (at, failure, since) in [
            (1, Failure::NotTaken, None),
            (2, Failure::Refused, Some(2)),
            (3, Failure::Refused, Some(2)),
            (4, Failure::Unknown, None),
            (5, Failure::Refused, Some(5)),
        ] {
            slot.note(Delivery::Failed(failure), UnixMs(at));
            assert_eq!(slot.refused_since, since.map(UnixMs));
        }
        assert_eq!(slot.failing_since, Some(UnixMs(1)));
    }

    #[test]
    fn every_state_is_read_as_it_was_written() {
        let dead = WhyDead::ALL.map(CallbackState::Dead);
        for state in dead.into_iter().chain([CallbackState::Pending, CallbackState::Sent]) {
            assert_eq!(CallbackState::from_name(state.name()), Some(state));
        }
        assert_eq!(CallbackState::from_name("lost"), None);
    }

    #[test]
    fn a_callback_that_is_sent_again_begins_anew_but_may_have_arrived() {
        let mut slot = slot();
        slot.note(Delivery::Failed(Failure::Refused), UnixMs(7));
        slot.note(Delivery::Sent, UnixMs(8));
        slot.renew();
        let due = CallbackSlot { may_have_arrived: true, ..self::slot() };
        assert_eq!(slot, due);
    }
}
