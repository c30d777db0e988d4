//! When to try again: exponential backoff with full jitter, and what an upstream asks for.

use std::time::Duration;

use crate::clock::UnixMs;

/// Delays that double up to a limit; the actual delay is drawn evenly from zero to there, so that
/// jobs that failed together do not come back together.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The first delay at most.
    pub base: Duration,
    /// Any delay at most.
    pub cap: Duration,
}

impl Backoff {
    /// The delay after the `failures`th failure (from 1); `chance` lies in 0..1.
    pub fn delay(&self, failures: u32, chance: f64) -> Duration {
        let doublings = failures.saturating_sub(1).min(31);
        let most = self.base.saturating_mul(1_u32 << doublings).min(self.cap);
        most.mul_f64(chance.clamp(0.0, 1.0))
    }
}

/// Reads a `Retry-After`: seconds, or an HTTP date (RFC 9110 §10.2.3). At most `longest`; `None`
/// where it is neither.
pub fn retry_after(value: &str, now: UnixMs, longest: Duration) -> Option<Duration> {
    let value = value.trim();
    let asked = match value.parse::<f64>() {
        // A number that no duration holds asks for the longest.
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok().or_else(|| {
            value.starts_with(|first: char| first.is_ascii_digit()).then_some(longest)
        })?,
        Err(_) => http_date(value)?.since(now),
    };
    Some(asked.min(longest))
}

fn http_date(value: &str) -> Option<UnixMs> {
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    Some(UnixMs(date.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(900);

    #[test]
    fn delays_double_up_to_the_cap() {
        let backoff = Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(10) };
        let most: Vec<_> = (1..=6).map(|failure| backoff.delay(failure, 1.0).as_secs()).collect();
        assert_eq!(most, [1, 2, 4, 8, 10, 10]);
        assert_eq!(backoff.delay(u32::MAX, 1.0), backoff.cap);
        assert_eq!(backoff.delay(3, 0.0), Duration::ZERO);
    }

    #[test]
    fn retry_after_is_read_in_seconds_and_as_a_date_and_is_clamped() {
        let now = UnixMs(1_445_412_470_000);
        let asked = |value: &str| retry_after(value, now, LONGEST);
        assert_eq!(asked("7"), Some(Duration::from_secs(7)));
        assert_eq!(asked(" 0.5 "), Some(Duration::from_millis(500)));
        assert_eq!(asked("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::from_secs(10)));
        assert_eq!(asked("Wed, 21 Oct 2015 07:00:00 GMT"), Some(Duration::ZERO));
        for digits in [9, 20, 400] {
            assert_eq!(asked(&"9".repeat(digits)), Some(LONGEST), "{digits} digits");
        }
        for nonsense in ["", "soon", "-1", "NaN", "inf"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
    }
}
