//! The callback that an outcome is owed to, and what became of it so far.

use crate::job::Callback;

/// The callback that an outcome is owed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallbackSlot {
    /// Where it goes.
    pub callback: Callback,
    /// Whether it got there.
    pub state: CallbackState,
    /// Deliveries that failed.
    pub failures: u32,
    /// How many of them, the latest ones in a row, were refusals.
    pub refusals: u32,
    /// One of them may have got through: nobody saw how it ended. It stays so.
    pub may_have_arrived: bool,
}

impl CallbackSlot {
    /// A callback that is yet to be sent.
    pub fn pending(callback: Callback) -> Self {
        Self {
            callback,
            state: CallbackState::Pending,
            failures: 0,
            refusals: 0,
            may_have_arrived: false,
        }
    }

    /// A delivery that is over stays so.
    pub fn note(&mut self, delivery: Delivery) {
        match (self.state, delivery) {
            (_, Delivery::Sent) => self.state = CallbackState::Sent,
            (CallbackState::Pending, Delivery::Dead(why)) => self.state = CallbackState::Dead(why),
            (CallbackState::Pending, Delivery::Failed(failure)) => self.note_failure(failure),
            _ => {}
        }
    }

    fn note_failure(&mut self, failure: Failure) {
        self.failures = self.failures.saturating_add(1);
        self.refusals = match failure {
            Failure::Refused => self.refusals.saturating_add(1),
            Failure::NotTaken | Failure::Unknown => 0,
        };
        self.may_have_arrived |= failure == Failure::Unknown;
    }

    /// Makes it due again, with all tries before it, whatever became of it.
    pub fn renew(&mut self) {
        self.may_have_arrived |= self.state == CallbackState::Sent;
        self.state = CallbackState::Pending;
        self.failures = 0;
        self.refusals = 0;
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

impl Delivery {
    /// What it comes to if it was the last there may be.
    #[must_use]
    pub(crate) fn judged(self, is_last: bool) -> Self {
        match self {
            Self::Failed(_) if is_last => Self::Dead(WhyDead::Exhausted),
            delivery => delivery,
        }
    }
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
            slot.note(Delivery::Failed(failure));
            slot.refusals
        });
        assert_eq!(refusals, [1, 2, 0, 0, 1]);
        assert_eq!((slot.failures, slot.may_have_arrived), (5, true));
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
        slot.note(Delivery::Failed(Failure::Refused));
        slot.note(Delivery::Sent);
        slot.renew();
        let due = CallbackSlot { may_have_arrived: true, ..self::slot() };
        assert_eq!(slot, due);
    }
}
