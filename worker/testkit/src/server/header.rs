//! Headers from text.

use hyper::header::{HeaderName, HeaderValue};

/// A header from text that a test wrote down.
pub(crate) fn header(name: &str, value: &str) -> (HeaderName, HeaderValue) {
    let name = HeaderName::try_from(name).expect("a valid header name");
    let value = HeaderValue::try_from(value).expect("a valid header value");
    (name, value)
}
