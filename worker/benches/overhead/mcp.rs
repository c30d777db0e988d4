//! An MCP tool: `echo` of rmcp's own server, of the revision 2026-07-28, against rmcp's own client.

use std::{sync::mpsc, thread};

use anyhow::{Context, ensure};
use mcp_batch::{clock::Clock, config::Source, job::Job, secret::Secrets, tool::Catalog};
use mcp_batch_testkit::ModernMcp;
use rmcp::{
    model::{CallToolRequestParams, JsonObject, ProtocolVersion},
    service::{ClientLifecycleMode, ClientServiceExt, RoleClient, RunningService},
    transport::StreamableHttpClientTransport,
};
use serde_json::json;

use super::{pair::Pair, prompt::call};

pub(crate) struct Mcp {
    client: RunningService<RoleClient, ()>,
    arguments: JsonObject,
    catalog: Catalog,
    job: Job,
}

impl Mcp {
    pub(crate) async fn open() -> anyhow::Result<Self> {
        let url = serve()?;
        let transport = StreamableHttpClientTransport::from_uri(&*url);
        let lifecycle = ClientLifecycleMode::Discover {
            preferred_versions: vec![ProtocolVersion::V_2026_07_28],
        };
        let client = ().serve_with_lifecycle(transport, lifecycle).await?;
        let secrets = Secrets::fixed(Source::default())?;
        let catalog = format!("[servers.s]\nurl = \"{url}\"\n");
        let catalog = Catalog::parse(&catalog, None, &secrets, &Clock::system())?;
        let input = json!({"text": "x".repeat(1_000)});
        let job = json!({"id": "a", "tool": "s/echo", "input": input});
        let job = Job::parse(&job.to_string().into()).map_err(|invalid| invalid.error())?;
        let arguments = input.as_object().cloned().context("an object")?;
        Ok(Self { client, arguments, catalog, job })
    }
}

/// A server on a thread of its own.
fn serve() -> anyhow::Result<String> {
    let (tell, told) = mpsc::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::spawn(move || {
        runtime.block_on(async {
            let server = ModernMcp::start().await;
            // Whoever asked is gone only if the bench has ended.
            let _ = tell.send(server.url());
            std::future::pending::<()>().await;
        });
    });
    Ok(told.recv()?)
}

impl Pair for Mcp {
    async fn bare(&self) -> anyhow::Result<()> {
        let params = CallToolRequestParams::new("echo").with_arguments(self.arguments.clone());
        let answer = self.client.call_tool(params).await?;
        ensure!(answer.is_error != Some(true), "the tool failed");
        Ok(())
    }

    async fn ours(&self) -> anyhow::Result<()> {
        call(&self.catalog, &self.job).await
    }
}
