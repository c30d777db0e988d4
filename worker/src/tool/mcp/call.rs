//! One call of one tool: bounded from first to last, and in its silence; cancelled when it is
//! given up.

use rmcp::{
    model::{
        CallToolRequest, CallToolRequestParams, JsonObject, MetaObject, RequestMetaObject,
        ServerResult,
    },
    service::{PeerRequestOptions, RequestHandle, RoleClient, ServiceError},
};
use serde_json::json;
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};

use super::{session::Live, settings::Timeouts};
use crate::{job::JobId, trace};

/// Who asks: servers may keep it, and refuse what they have done before.
#[derive(Clone, Copy)]
pub(super) struct Caller<'a> {
    pub(super) job_id: &'a JobId,
    /// The claim it runs under.
    pub(super) epoch: u64,
}

/// Why there is no answer.
pub(super) enum Unanswered {
    Failed(ServiceError),
    /// Its whole time is over.
    TooLong,
    /// Neither answer nor progress came for too long.
    Silent,
}

/// Calls a tool. Dropping the future cancels the call at the server.
pub(super) async fn call(
    live: &Live,
    tool: &str,
    arguments: JsonObject,
    caller: Caller<'_>,
    timeouts: Timeouts,
) -> Result<ServerResult, Unanswered> {
    let ends = sleep_until(Instant::now() + timeouts.total);
    tokio::pin!(ends);
    let params = CallToolRequestParams::new(tool.to_owned()).with_arguments(arguments);
    let request = CallToolRequest::new(params);
    let options = PeerRequestOptions::default().with_meta(meta(caller));
    let sent = tokio::select! {
        sent = live.peer().send_cancellable_request(request.into(), options) => sent,
        () = &mut ends => return Err(Unanswered::TooLong),
    };
    let mut pending = Pending(Some(sent.map_err(Unanswered::Failed)?));
    let Some(handle) = pending.0.as_mut() else { return Err(Unanswered::TooLong) };
    let progress = live.listener().progress(handle.progress_token.clone());
    let silence = sleep_until(Instant::now() + timeouts.idle);
    tokio::pin!(silence);
    loop {
        tokio::select! {
            biased;
            answer = &mut handle.rx => {
                pending.0 = None;
                let answer = answer.unwrap_or(Err(ServiceError::TransportClosed));
                return answer.map_err(Unanswered::Failed);
            }
            () = &mut ends => return Err(Unanswered::TooLong),
            () = &mut silence => return Err(Unanswered::Silent),
            () = progress.made() => silence.as_mut().reset(Instant::now() + timeouts.idle),
        }
    }
}

fn meta(caller: Caller<'_>) -> RequestMetaObject {
    let mut meta = MetaObject::default();
    meta.0.insert("mcp-batch/jobId".to_owned(), caller.job_id.as_str().into());
    meta.0.insert("mcp-batch/epoch".to_owned(), json!(caller.epoch));
    if let Some(context) = trace::current() {
        meta.0.insert("traceparent".to_owned(), context.to_string().into());
    }
    meta.into()
}

/// A call that has not been answered: whoever lets go of it cancels it at the server.
struct Pending(Option<RequestHandle<RoleClient>>);

impl Drop for Pending {
    fn drop(&mut self) {
        let (Some(handle), Ok(runtime)) = (self.0.take(), Handle::try_current()) else { return };
        // Nobody waits for it: the transport bounds how long it takes.
        runtime.spawn(handle.cancel(Some("the call was given up".to_owned())));
    }
}
