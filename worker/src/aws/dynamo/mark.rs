//! Notes on hand-offs. A debt that is paid is one update of the item: whether it was the last one,
//! and the item may expire from now on, is told by whether the other debt's attribute is there; if
//! so, its value takes the place of the item's end. That of a callback is no number, which as a TTL
//! does not count; that of a dead letter is a later end.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    DynamoLedger,
    attributes::{number, shard_of, text},
    failure::Failure,
    item,
    table::{Expression, Written},
};
use crate::{
    clock::UnixMs,
    job::JobKey,
    lease::{Attention, CallbackState, Delivery, Mark, Record, Step},
};

const CALLBACK_IS_OVER: &str = "SET version = :version, callback_end = :end, \
     record_expires_s = if_not_exists(dead_letter_pending, kept_until_s) \
     REMOVE callback_pending, attention, attention_ms";

const CALLBACK_IS_DEAD: &str = "SET version = :version, callback_end = :end, \
     attention = :attention, attention_ms = :now, \
     record_expires_s = if_not_exists(dead_letter_pending, kept_until_s) \
     ADD callback_failures :one REMOVE callback_pending";

const CALLBACK_IS_DUE: &str = "epoch = :epoch AND job_state IN (:done, :failed) \
     AND callback_url = :url AND attribute_exists(callback_pending)";

const DEAD_LETTER_IS_SENT: &str = "SET version = :version, dead_letter_sent = :sent, \
     record_expires_s = if_not_exists(callback_pending, kept_until_s) REMOVE dead_letter_pending";

const DEAD_LETTER_IS_DUE: &str = "epoch = :epoch AND job_state IN (:done, :failed) \
     AND attribute_exists(dead_letter_pending)";

impl DynamoLedger {
    /// Notes what became of a hand-off. Where the usual update does not fit, the item that comes
    /// back is judged by the state machine's rule.
    pub(super) async fn mark_handoff(
        &self,
        key: JobKey,
        epoch: u64,
        mark: &Mark,
        now: UnixMs,
    ) -> Result<(), Failure> {
        let known = match payment(key, epoch, mark, now) {
            None => self.look(key).await?,
            Some((update, mut condition)) => {
                let version = fastrand::u64(..);
                condition.values.push((":version", number(version)));
                match self.table.update(item::pk(key), update, condition).await? {
                    Written::Done => {
                        self.finished.mark(key, epoch, mark, now);
                        return Ok(());
                    }
                    Written::InTheWay => self.look(key).await?,
                    Written::Refused(item) => {
                        let known = self.known_if_any(item).await?;
                        // Ours after all: its answer was lost, and it was sent again.
                        known.filter(|known| known.version != version)
                    }
                }
            }
        };
        self.step("mark", known, |old| change_of(old, epoch, mark, now)).await
    }
}

/// The rule, but what is noted already is not written again.
fn change_of(old: Option<Record>, epoch: u64, mark: &Mark, now: UnixMs) -> Step<()> {
    let noted = old.clone();
    let mut step = Record::mark(old, epoch, mark, now);
    step.write = step.write.filter(|new| noted.as_ref() != Some(new));
    step
}

/// The update for a debt's end, and when it is one; a failed delivery ends none, and is counted by
/// reading first, so that a request sent twice counts once.
fn payment(
    key: JobKey,
    epoch: u64,
    mark: &Mark,
    now: UnixMs,
) -> Option<(&'static str, Expression)> {
    let mut values =
        vec![(":epoch", number(epoch)), (":done", text("done")), (":failed", text("failed"))];
    match mark {
        Mark::Callback { callback, delivery, .. } => {
            values.push((":url", text(callback.expose_url())));
            let (end, update) = match delivery {
                Delivery::Sent => (CallbackState::Sent, CALLBACK_IS_OVER),
                Delivery::Dead(why) => {
                    let attention = shard_of(Attention::DeadCallback, key.as_bytes());
                    values.extend([(":attention", text(attention)), (":now", number(now.0))]);
                    values.push((":one", number(1)));
                    (CallbackState::Dead(*why), CALLBACK_IS_DEAD)
                }
                Delivery::Failed(_) => return None,
            };
            values.push((":end", text(end.name())));
            Some((update, Expression { text: CALLBACK_IS_DUE.into(), values }))
        }
        Mark::DeadLetterSent => {
            values.push((":sent", AttributeValue::Bool(true)));
            Some((DEAD_LETTER_IS_SENT, Expression { text: DEAD_LETTER_IS_DUE.into(), values }))
        }
    }
}
