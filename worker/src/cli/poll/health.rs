//! `GET /healthz`, for whoever starts and replaces workers, and `GET /metrics`.

use std::{io, sync::Arc, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use tokio::{net::TcpListener, sync::watch};

use super::ledger_watch::Standing;
use crate::{
    batch::Stop,
    cli::metrics,
    poller::Reception,
    queue::Cause,
    telemetry::{metered::Metered, prometheus::Page},
};

/// Queue and ledger may be out of reach for this long before a new worker is worth a try.
const ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// What a worker's health depends on.
pub(super) struct Parts {
    pub(super) queue: watch::Receiver<Reception>,
    pub(super) ledger: watch::Receiver<Standing>,
}

/// Answers until the process ends.
pub(super) async fn serve(
    listener: TcpListener,
    parts: Parts,
    measured: Arc<Metered<Page>>,
    stop: Stop,
) -> io::Result<()> {
    let health = move || {
        let answer = judge(&parts.queue.borrow(), &parts.ledger.borrow(), &stop);
        async move { answer }
    };
    let routes = Router::new().route("/healthz", get(health)).merge(metrics::route(measured));
    axum::serve(listener, routes).await
}

fn judge(queue: &Reception, ledger: &Standing, stop: &Stop) -> (StatusCode, &'static str) {
    let unwell = |why| (StatusCode::SERVICE_UNAVAILABLE, why);
    if stop.is_draining() {
        return unwell("stopping\n");
    }
    match queue {
        Reception::InVain { cause: Cause::Settings, .. } => {
            return unwell(
                "the queue (MCP_BATCH_QUEUE_URL) does not exist, or may not be received from\n",
            );
        }
        Reception::InVain { since, .. } if since.elapsed() > ANSWERS_WITHIN => {
            return unwell("the queue does not answer\n");
        }
        _ => {}
    }
    match ledger {
        Standing::Unread { ever: false, .. } => {
            unwell("the table (MCP_BATCH_TABLE) does not exist, or may not be read\n")
        }
        Standing::Unread { since, .. } if since.elapsed() > ANSWERS_WITHIN => {
            unwell("the ledger does not answer\n")
        }
        _ => (StatusCode::OK, "ok\n"),
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    fn ago(seconds: u64) -> Instant {
        Instant::now().checked_sub(Duration::from_secs(seconds)).expect("the machine is up longer")
    }

    fn status(queue: &Reception, ledger: &Standing, stop: &Stop) -> u16 {
        judge(queue, ledger, stop).0.as_u16()
    }

    #[test]
    fn it_is_well_until_the_queue_has_not_answered_for_a_minute() {
        let of = |cause, seconds| {
            let queue = Reception::InVain { since: ago(seconds), cause };
            status(&queue, &Standing::Unknown, &Stop::default())
        };
        assert_eq!([0, 59, 61].map(|seconds| of(Cause::Passing, seconds)), [200, 200, 503]);
        assert_eq!(of(Cause::Settings, 0), 503, "that does not pass");
    }

    #[test]
    fn it_is_not_well_while_the_ledger_was_never_read_nor_after_a_minute_without_it() {
        let of = |ever, seconds| {
            let ledger = Standing::Unread { since: ago(seconds), ever };
            status(&Reception::Well, &ledger, &Stop::default())
        };
        assert_eq!([of(true, 0), of(true, 59), of(true, 61), of(false, 0)], [200, 200, 503, 503]);
    }

    #[test]
    fn it_is_not_to_be_sent_to_any_more_once_it_stops() {
        let stop = Stop::default();
        assert_eq!(status(&Reception::Well, &Standing::Read, &stop), 200);
        stop.drain();
        assert_eq!(status(&Reception::Well, &Standing::Read, &stop), 503);
    }
}
