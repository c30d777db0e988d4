//! A dead letter within SQS's limits: the body is kept, the reason as far as there is room.

use std::time::Duration;

use bytes::Bytes;

use super::{
    attributes::{self, MAX_ATTRIBUTES, packed},
    outgoing::{MAX_BYTES, Outgoing, attribute_bytes},
    text::{is_allowed, shortened, with_allowed_only},
};
use crate::queue::{Attribute, DeadLetter};

/// All attributes of ours, those first that are kept longest. Without its class a letter could not be told
/// from a job, without its epoch not be replayed, and without its namespace be somebody else's.
const BY_IMPORTANCE: [&str; 10] = [
    DeadLetter::ERROR_CLASS,
    DeadLetter::EPOCH,
    DeadLetter::NAMESPACE,
    DeadLetter::ERROR_CODE,
    DeadLetter::BODY_ALTERED,
    DeadLetter::ATTEMPTS,
    DeadLetter::FIRST_SEEN,
    DeadLetter::TOOL,
    DeadLetter::JOB_ID,
    DeadLetter::ERROR_MESSAGE,
];

/// The letter as it is sent; `None` if its body leaves no room for what a replay needs: redriven, it
/// would be a duplicate of the run that failed. A body that SQS refuses, which no queue of SQS can
/// have brought, has question marks for the characters that are not allowed; an empty one is a single
/// one.
pub(super) fn outgoing_letter(letter: &DeadLetter) -> Option<Outgoing> {
    let mut reason = letter.attributes();
    let body = match altered(&letter.body) {
        Some((body, what)) => {
            reason.insert(DeadLetter::BODY_ALTERED, what.to_owned());
            body.into()
        }
        None => letter.body.clone(),
    };
    let mut room = MAX_BYTES.saturating_sub(body.len());
    let mut attributes = Vec::new();
    for name in BY_IMPORTANCE {
        let value = reason.remove(name).map(|value| with_allowed_only(value.as_bytes()));
        let Some(value) = value.and_then(|value| fitted(name, value, room)) else { continue };
        room -= attribute_bytes(name, &value);
        attributes.push((name, value));
    }
    // A producer's attribute by the name of a part of the reason would be taken for that.
    let (unlucky, others): (Vec<_>, Vec<_>) =
        letter.others.iter().cloned().partition(|other| BY_IMPORTANCE.contains(&&*other.name));
    let places = MAX_ATTRIBUTES - attributes.len();
    let outgoing = Outgoing {
        body,
        group: letter.group.clone(),
        delay: Duration::ZERO,
        attributes,
        others: fitting(packed(others, places), room, unlucky),
        trace: letter.trace.clone(),
    };
    can_be_redriven(letter, &outgoing).then_some(outgoing)
}

/// The producer's own attributes as far as there is room: what our reason and the body leave.
fn fitting(others: Vec<Attribute>, mut room: usize, unlucky: Vec<Attribute>) -> Vec<Attribute> {
    let mut taken = Vec::with_capacity(others.len());
    let mut left_out: Vec<_> = unlucky.into_iter().map(|other| other.name).collect();
    for other in others {
        match room.checked_sub(attributes::bytes(&other)) {
            Some(rest) => {
                room = rest;
                taken.push(other);
            }
            None => left_out.push(other.name),
        }
    }
    if !left_out.is_empty() {
        tracing::warn!(
            ?left_out,
            "a dead letter cannot bear all attributes of its message: expected at most {MAX_BYTES} bytes of \
             body and attributes, and no names of the letter's own"
        );
    }
    taken
}

fn can_be_redriven(letter: &DeadLetter, outgoing: &Outgoing) -> bool {
    let has = |name| outgoing.attributes.iter().any(|(has, _)| *has == name);
    let is_replay =
        letter.epoch.is_none() || (has(DeadLetter::ERROR_CLASS) && has(DeadLetter::EPOCH));
    is_replay && (letter.namespace.is_none() || has(DeadLetter::NAMESPACE))
}

fn altered(body: &Bytes) -> Option<(String, &'static str)> {
    match str::from_utf8(body) {
        Ok("") => Some(("?".to_owned(), "it was empty")),
        Ok(text) if text.chars().all(is_allowed) => None,
        _ => Some((with_allowed_only(body), "what SQS refuses was replaced by question marks")),
    }
}

/// The value as far as there is room. SQS takes no empty ones.
fn fitted(name: &str, value: String, room: usize) -> Option<String> {
    let room = room.checked_sub(attribute_bytes(name, ""))?;
    let value = match name {
        // Shortened where the room ends.
        DeadLetter::ERROR_MESSAGE => shortened(&value, room).to_owned(),
        _ => value,
    };
    (!value.is_empty() && value.len() <= room).then_some(value)
}
