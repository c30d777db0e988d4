//! Calls that panic.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::Poll,
};

use super::ToolError;
use crate::{
    error::{ErrorClass, JobError},
    lease::Outcome,
};

/// A call that panics has failed; the job's task goes on and saves that.
pub(crate) async fn catching_panics(
    mut call: Pin<Box<impl Future<Output = Result<Outcome, ToolError>>>>,
) -> Result<Outcome, ToolError> {
    poll_fn(|context| {
        catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(context))).unwrap_or_else(|_| {
            let error = JobError::new(ErrorClass::Transient, "panic", "the tool's code panicked");
            Poll::Ready(Err(ToolError::ambiguous(error)))
        })
    })
    .await
}
