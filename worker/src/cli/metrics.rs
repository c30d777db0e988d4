//! `GET /metrics`, for Prometheus.

use std::sync::Arc;

use axum::{Router, http::header::CONTENT_TYPE, routing::get};

use crate::telemetry::{
    metered::Metered,
    prometheus::{self, Page},
};

/// The route, with what was measured since the process began.
pub(super) fn route(metrics: Arc<Metered<Page>>) -> Router {
    let page = move || {
        let text = metrics.meter().text();
        async move { ([(CONTENT_TYPE, prometheus::CONTENT_TYPE)], text) }
    };
    Router::new().route("/metrics", get(page))
}
