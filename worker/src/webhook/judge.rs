//! What a receiver's answer means for the callback, given what became of it before.
//!
//! n8n's dialect at the resume URLs of its Wait node (2.41): an execution that does not wait yet says
//! 409 "is running already" and keeps nothing; one that is over says 409 "has finished already", to
//! whoever woke it as well if the answer to that got lost; a wrong signature is 401 "Invalid token";
//! while n8n starts, every webhook is 404.

use std::time::Duration;

use super::answer::Answer;
use crate::{
    clock::UnixMs,
    lease::{CallbackSlot, Delivery, Failure, WhyDead},
};

/// Refusals in a row after which a receiver is believed.
const REFUSALS_BELIEVED: u32 = 5;

/// The same for "not found", which n8n says of everything while it starts: so many, over this time.
const NOT_FOUNDS_BELIEVED: u32 = 10;
const NOT_FOUND_TAKES: Duration = Duration::from_mins(4);

/// What the tries so far and this answer come to.
pub(super) fn judge(answer: &Answer, before: &CallbackSlot, now: UnixMs) -> Delivery {
    match answer {
        Answer::Status { status, text, .. } => of_status(*status, text, before, now),
        Answer::Unreached => Delivery::Failed(Failure::NotTaken),
        Answer::Lost => Delivery::Failed(Failure::Unknown),
        Answer::Forbidden => Delivery::Dead(WhyDead::AddressRefused),
    }
}

fn of_status(status: u16, text: &str, before: &CallbackSlot, now: UnixMs) -> Delivery {
    let says = |words| text.contains(words);
    let refused_for = before.refused_since.map_or(Duration::ZERO, |since| now.since(since));
    match status {
        200..=299 => Delivery::Sent,
        409 if says("is running already") => Delivery::Failed(Failure::NotTaken),
        409 if says("has finished already") && before.may_have_arrived => Delivery::Sent,
        409 if says("has finished") => Delivery::Dead(WhyDead::ReceiverGone),
        401 if says("Invalid token") => Delivery::Dead(WhyDead::Refused),
        410 => Delivery::Dead(WhyDead::ReceiverGone),
        404 if refused_for < NOT_FOUND_TAKES => Delivery::Failed(Failure::Refused),
        404 => refused(before, NOT_FOUNDS_BELIEVED, WhyDead::ReceiverGone),
        408 | 425 | 429 => Delivery::Failed(Failure::NotTaken),
        500..=599 => Delivery::Failed(Failure::Unknown),
        _ => refused(before, REFUSALS_BELIEVED, WhyDead::Refused),
    }
}

/// A refusal may be a moment's, such as that of a proxy while its server is changed.
fn refused(before: &CallbackSlot, believed: u32, why: WhyDead) -> Delivery {
    match before.refusals.saturating_add(1) >= believed {
        true => Delivery::Dead(why),
        false => Delivery::Failed(Failure::Refused),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Callback;

    const RUNNING: &str = r#"{"code":409,"message":"The execution \"41\" is running already."}"#;
    const FINISHED: &str = r#"{"code":409,"message":"The execution \"41 has finished already."}"#;
    const BROKEN: &str =
        r#"{"code":409,"message":"The execution \"41\" has finished with error."}"#;
    const TOKEN: &str = r#"{"code":401,"message":"Invalid token"}"#;

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn slot() -> CallbackSlot {
        let url = "https://n8n.example.com/webhook-waiting/41?signature=00".to_owned();
        CallbackSlot::pending(Callback::from_url(url).expect("a URL"))
    }

    fn said(status: u16, text: &str) -> Answer {
        Answer::Status { status, text: text.to_owned(), retry_after: None }
    }

    fn judged(status: u16, text: &str) -> Delivery {
        judge(&said(status, text), &slot(), NOW)
    }

    #[test]
    fn every_first_answer_has_its_meaning() {
        use Delivery::{Dead, Failed, Sent};
        use Failure::{NotTaken, Refused, Unknown};
        for (statuses, text, meaning) in [
            (&[200, 201, 202, 204, 206, 299][..], "", Sent),
            (&[301, 302, 303, 304, 307, 308], "", Failed(Refused)),
            (
                &[400, 401, 402, 403, 404, 405, 406, 409, 411, 413, 422, 451, 499],
                "",
                Failed(Refused),
            ),
            (&[408, 425, 429], "", Failed(NotTaken)),
            (&[410], "", Dead(WhyDead::ReceiverGone)),
            (&[500, 501, 502, 503, 504, 520, 599], "", Failed(Unknown)),
            (&[409], RUNNING, Failed(NotTaken)),
            (&[409], FINISHED, Dead(WhyDead::ReceiverGone)),
            (&[409], BROKEN, Dead(WhyDead::ReceiverGone)),
            (&[401], TOKEN, Dead(WhyDead::Refused)),
            (&[403], TOKEN, Failed(Refused)),
            (&[500], FINISHED, Failed(Unknown)),
        ] {
            for status in statuses {
                assert_eq!(judged(*status, text), meaning, "{status} {text}");
            }
        }
        assert_eq!(judge(&Answer::Unreached, &slot(), NOW), Failed(NotTaken));
        assert_eq!(judge(&Answer::Lost, &slot(), NOW), Failed(Unknown));
        assert_eq!(judge(&Answer::Forbidden, &slot(), NOW), Dead(WhyDead::AddressRefused));
    }

    #[test]
    fn a_finished_execution_was_woken_by_us_only_if_an_earlier_try_may_have_got_through() {
        for (answer, end) in [
            (Answer::Lost, Delivery::Sent),
            (said(500, ""), Delivery::Sent),
            (said(503, ""), Delivery::Sent),
            (Answer::Unreached, Delivery::Dead(WhyDead::ReceiverGone)),
            (said(409, RUNNING), Delivery::Dead(WhyDead::ReceiverGone)),
            (said(404, ""), Delivery::Dead(WhyDead::ReceiverGone)),
            (said(429, ""), Delivery::Dead(WhyDead::ReceiverGone)),
        ] {
            let mut slot = slot();
            slot.note(judge(&answer, &slot, NOW), NOW);
            slot.note(judge(&said(409, RUNNING), &slot, NOW), NOW);
            assert_eq!(judge(&said(409, FINISHED), &slot, NOW), end, "after {answer:?}");
            assert_eq!(
                judge(&said(409, BROKEN), &slot, NOW),
                Delivery::Dead(WhyDead::ReceiverGone),
                "after {answer:?}"
            );
        }
    }

    /// What each of so many tries comes to, with such a pause between two of them.
    fn tries(status: u16, count: u32, pause: Duration) -> Vec<Delivery> {
        let (mut slot, mut now) = (slot(), NOW);
        slot.note(judge(&said(500, ""), &slot, now), now);
        let one = |_| {
            now = now.plus(pause);
            let delivery = judge(&said(status, ""), &slot, now);
            slot.note(delivery, now);
            delivery
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn a_receiver_is_believed_after_a_few_refusals_in_a_row_and_not_found_later() {
        for (status, believed, why) in [
            (403, REFUSALS_BELIEVED, WhyDead::Refused),
            (302, REFUSALS_BELIEVED, WhyDead::Refused),
            (404, NOT_FOUNDS_BELIEVED, WhyDead::ReceiverGone),
        ] {
            let mut deliveries = tries(status, believed, Duration::from_mins(1));
            assert_eq!(deliveries.pop(), Some(Delivery::Dead(why)), "{status}");
            assert!(deliveries.iter().all(|one| *one == Delivery::Failed(Failure::Refused)));
        }
    }

    /// As `run` asks, which pauses for 16 s at most.
    #[test]
    fn not_found_is_not_believed_before_n8n_has_had_its_minutes_to_start() {
        let pause = Duration::from_secs(8);
        let deliveries = tries(404, 31, pause);
        let dead = Delivery::Dead(WhyDead::ReceiverGone);
        let first = deliveries.iter().position(|delivery| *delivery == dead);
        assert_eq!(first, Some(30), "four minutes after the first");
    }
}
