//! `GET /healthz`, for whoever starts and replaces workers, and `GET /metrics`.

use std::{io, sync::Arc, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use tokio::{net::TcpListener, sync::watch, time::Instant};

use crate::{
    batch::Stop,
    cli::metrics,
    telemetry::{metered::Metered, prometheus::Page},
};

/// A queue may be out of reach for this long before a new worker is worth a try.
const QUEUE_ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// Answers until the process ends.
pub(super) async fn serve(
    listener: TcpListener,
    in_vain_since: watch::Receiver<Option<Instant>>,
    measured: Arc<Metered<Page>>,
    stop: Stop,
) -> io::Result<()> {
    let health = move || {
        let in_vain = in_vain_since.borrow().map(|since| since.elapsed());
        let answer = judge(in_vain.unwrap_or_default(), &stop);
        async move { answer }
    };
    let routes = Router::new().route("/healthz", get(health)).merge(metrics::route(measured));
    axum::serve(listener, routes).await
}

fn judge(in_vain: Duration, stop: &Stop) -> (StatusCode, &'static str) {
    if stop.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    } else if in_vain > QUEUE_ANSWERS_WITHIN {
        (StatusCode::SERVICE_UNAVAILABLE, "the queue does not answer\n")
    } else {
        (StatusCode::OK, "ok\n")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_well_until_the_queue_has_not_answered_for_a_minute() {
        let stop = Stop::default();
        let status = |in_vain_s| judge(Duration::from_secs(in_vain_s), &stop).0.as_u16();
        assert_eq!([0, 59, 60, 61, 3_600].map(status), [200, 200, 200, 503, 503]);
    }

    #[test]
    fn it_is_not_to_be_sent_to_any_more_once_it_stops() {
        let stop = Stop::default();
        stop.drain();
        assert_eq!(judge(Duration::ZERO, &stop).0.as_u16(), 503);
    }
}
