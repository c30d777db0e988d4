//! Which span something belongs to, as it is handed from program to program: W3C's `traceparent`, and
//! the header of X-Ray that SQS carries beside a message.

use std::fmt;

/// A span of somebody's, by its ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    pub(super) trace_id: u128,
    pub(super) span_id: u64,
    /// Whether its trace is kept by whoever began it.
    pub(super) is_sampled: bool,
    /// Whether that holds for others: where X-Ray keeps nothing, Lambda says of every trace that it is
    /// not kept.
    pub(super) is_decided: bool,
}

impl TraceContext {
    /// Reads `traceparent`. Versions to come may add fields, and begin with these (Trace Context, 4.3);
    /// what is malformed is as good as none.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let (version, trace_id, span_id) = (parts.next()?, parts.next()?, parts.next()?);
        let flags = parts.next()?;
        let is_whole = version != "00" || parts.next().is_none();
        let is_known = version.len() == 2 && version != "ff" && hex::<2>(version).is_some();
        let flags = hex::<2>(flags)?;
        let context = Self {
            trace_id: hex::<32>(trace_id)?,
            span_id: hex::<16>(span_id)?.try_into().ok()?,
            is_sampled: flags & 1 == 1,
            is_decided: true,
        };
        (is_whole && is_known).then_some(context).filter(Self::is_sound)
    }

    /// Reads `Root=1-…;Parent=…;Sampled=…`, in any order and with whatever else ("Tracing header",
    /// X-Ray developer guide). Without a parent it names no span.
    pub fn parse_xray(text: &str) -> Option<Self> {
        let field = |name: &str| {
            let mut fields = text.split(';').filter_map(|field| field.trim().split_once('='));
            fields.find(|(key, _)| *key == name).map(|(_, value)| value)
        };
        let (time, random) = field("Root")?.strip_prefix("1-")?.split_once('-')?;
        let trace_id = (hex::<8>(time)? << 96) | hex::<24>(random)?;
        let span_id = hex::<16>(field("Parent")?)?.try_into().ok()?;
        let is_sampled = field("Sampled") == Some("1");
        let is_decided = is_sampled;
        Some(Self { trace_id, span_id, is_sampled, is_decided }).filter(Self::is_sound)
    }

    fn is_sound(&self) -> bool {
        self.trace_id != 0 && self.span_id != 0
    }

    /// The trace's id, as logs show it.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    pub(super) fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }
}

/// As `traceparent` shows it.
impl fmt::Display for TraceContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = u8::from(self.is_sampled);
        write!(f, "00-{:032x}-{:016x}-{flags:02x}", self.trace_id, self.span_id)
    }
}

/// Exactly `N` lower-case hexadecimal digits.
fn hex<const N: usize>(text: &str) -> Option<u128> {
    let is_digit = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    let is_hex = text.len() == N && text.bytes().all(is_digit);
    is_hex.then(|| u128::from_str_radix(text, 16).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn what_is_read_is_written_again() {
        let context = TraceContext::parse(TRACEPARENT).expect("sound");
        assert!(context.is_sampled);
        assert_eq!(context.to_string(), TRACEPARENT);
        assert_eq!(context.trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00-what-will-be";
        assert!(TraceContext::parse(later).is_some_and(|context| !context.is_sampled));
    }

    #[test]
    fn what_is_malformed_is_as_good_as_none() {
        for text in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473+-00f067aa0ba902b7-01",
        ] {
            assert_eq!(TraceContext::parse(text), None, "{text}");
        }
        for text in ["", "Root=1-2-3", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1", "a=b"]
        {
            assert_eq!(TraceContext::parse_xray(text), None, "{text}");
        }
    }

    #[test]
    fn xrays_header_is_the_same_in_other_words() {
        let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
        let context = TraceContext::parse_xray(header).expect("sound");
        let expected = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
        assert_eq!(context.to_string(), expected);
        let unsure = header.replace("Sampled=1", "Sampled=?;Lineage=a:0");
        let unsure = TraceContext::parse_xray(&unsure).expect("sound");
        assert!(!unsure.is_sampled && !unsure.is_decided);
    }
}
