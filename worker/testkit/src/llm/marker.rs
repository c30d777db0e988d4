//! Behaviours asked for from inside a prompt: `[[mode]]` or `[[mode:argument]]`.

use std::time::Duration;

use serde_json::{Deserializer, Value};

use super::{Behaviour, Status};

/// The first marker in a text, if there is any.
pub(super) fn find(text: &str) -> Option<Behaviour> {
    text.match_indices("[[").find_map(|(at, opening)| parse(&text[at + opening.len()..]))
}

/// The behaviour that a model's name asks for: `mode-500`.
pub(super) fn of_model(model: &str) -> Option<Behaviour> {
    alone(model.strip_prefix("mode-")?)
}

/// Parses what follows the opening brackets.
fn parse(rest: &str) -> Option<Behaviour> {
    if let Some(rest) = rest.strip_prefix("json:") {
        return json(rest);
    }
    let (marker, _) = rest.split_once("]]")?;
    match marker.split_once(':') {
        Some((mode, argument)) => with_argument(mode, argument),
        None => alone(marker),
    }
}

/// JSON may hold closing brackets itself, so it is read to its own end.
fn json(rest: &str) -> Option<Behaviour> {
    let mut values = Deserializer::from_str(rest).into_iter::<Value>();
    let value = values.next()?.ok()?;
    rest[values.byte_offset()..].starts_with("]]").then_some(Behaviour::Json(value))
}

fn with_argument(mode: &str, argument: &str) -> Option<Behaviour> {
    match mode {
        "answer" => Some(Behaviour::answer(argument)),
        "provider-429" => Some(Behaviour::throttled_by_provider(argument)),
        "huge" => argument.parse().ok().map(Behaviour::HugeBody),
        "slow" => seconds(argument).map(Behaviour::Slow),
        _ => Some(Status::of(status(mode)?).retry_after(argument).into()),
    }
}

fn alone(mode: &str) -> Option<Behaviour> {
    Some(match mode {
        "echo" => Behaviour::Echo,
        "length" | "content_filter" => Behaviour::FinishReason(mode.into()),
        "quota" => Behaviour::quota_spent(),
        "cooldown" => Behaviour::cooling_down(),
        "budget" => Behaviour::budget_exceeded(),
        "cached" => Behaviour::Cached,
        "low-credit" => Behaviour::low_credit(),
        "too-long" => Behaviour::context_too_long(),
        "filter" => Behaviour::filtered_request(),
        "model-not-found" => Behaviour::model_not_found(),
        "not-found" => Behaviour::not_found(),
        "html" => Behaviour::bad_gateway_html(),
        "garbage" => Behaviour::GarbageJson,
        "empty" => Behaviour::EmptyChoices,
        "half" => Behaviour::HalfBody,
        "trickle" => Behaviour::Trickle,
        "head" => Behaviour::HeadAlone,
        "hold" => Behaviour::Hold,
        "hang" => Behaviour::Hang,
        "drop" => Behaviour::Drop,
        _ => Behaviour::status(status(mode)?),
    })
}

fn status(mode: &str) -> Option<u16> {
    mode.parse().ok().filter(|code| (400..600).contains(code))
}

fn seconds(argument: &str) -> Option<Duration> {
    Duration::try_from_secs_f64(argument.parse().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn text_in_double_brackets_is_just_text() {
        for text in ["a [[wiki link]]", "[[429", "[[200]]", "[[slow:soon]]", "[[huge:-1]]", "[["] {
            assert_eq!(find(text), None, "{text}");
        }
    }

    #[test]
    fn a_marker_is_found_after_other_brackets() {
        assert_eq!(find("see [[notes]], then [[503]]."), Some(Behaviour::status(503)));
    }

    #[test]
    fn arguments_go_to_their_end() {
        assert_eq!(find("[[slow:0.25]]"), Some(Behaviour::Slow(Duration::from_millis(250))));
        assert_eq!(
            find("[[429:Wed, 21 Oct 2026 07:28:00 GMT]]"),
            Some(Behaviour::throttled("Wed, 21 Oct 2026 07:28:00 GMT"))
        );
        let matrix = json!({"rows": [[1], [2, 3]]});
        assert_eq!(find(&format!("[[json:{matrix}]] please")), Some(Behaviour::Json(matrix)));
    }
}
