//! What there is to call.

use axum::{extract::State, http::StatusCode, response::Response};
use serde::Serialize;

use super::{Api, answer, view::ErrorView};
use crate::{
    environment::Ports,
    tool::{ToolListing, Tools},
};

/// All tools that can be called now.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
pub(super) struct ToolList {
    #[cfg_attr(test, schema(value_type = Vec<super::openapi::Tool>))]
    tools: Vec<ToolListing>,
    /// MCP servers that could not be asked for theirs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(test, schema(required = false))]
    unreachable: Vec<Unreachable>,
}

/// A server that could not be asked.
#[derive(Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema))]
struct Unreachable {
    server: String,
    error: ErrorView,
}

/// Answers `GET /v1/tools`.
pub(super) async fn list<P: Ports>(State(api): State<Api<P>>) -> Response {
    let listing = api.environment.tools.list().await;
    let unreachable = listing.unreachable.into_iter();
    let unreachable =
        unreachable.map(|(server, error)| Unreachable { server, error: (&error).into() });
    let list = ToolList { tools: listing.tools, unreachable: unreachable.collect() };
    answer(StatusCode::OK, &list)
}
