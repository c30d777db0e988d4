//! `GET /healthz`, for whoever starts and replaces workers.

use std::{io, time::Duration};

use axum::{Router, http::StatusCode, routing::get};
use tokio::{net::TcpListener, sync::watch, time::Instant};

use crate::batch::Stop;

/// A queue may be out of reach for this long before a new worker is worth a try.
const QUEUE_ANSWERS_WITHIN: Duration = Duration::from_secs(60);

/// Answers until the process ends.
pub(super) async fn serve(
    listener: TcpListener,
    in_vain_since: watch::Receiver<Option<Instant>>,
    stop: Stop,
) -> io::Result<()> {
    let health = move || {
        let in_vain = in_vain_since.borrow().map(|since| since.elapsed());
        let answer = judge(in_vain.unwrap_or_default(), &stop);
        async move { answer }
    };
    axum::serve(listener, Router::new().route("/healthz", get(health))).await
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
