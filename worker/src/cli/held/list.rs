//! `mcp-batch held list`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

use crate::{
    api::view::JobView,
    cli::{
        store::Store,
        words::on_one_line,
        world::{World, WorldArgs},
    },
    held::{self, MOST_LISTED},
};

/// Lists the jobs that wait for a person, those that were held first first.
///
/// It asks an index, never the whole ledger.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Args {
    /// Print one JSON object.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    world: WorldArgs,
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let told = match args.world.open_to_read().await? {
        World::File(store) => in_store(&store).await?,
        #[cfg(feature = "aws")]
        World::Aws(store) => in_store(&store).await?,
        World::Server(client) => client.get("/v1/held").await?,
    };
    let mut out = io::stdout().lock();
    match args.json {
        true => writeln!(out, "{told}")?,
        false => print(&mut out, &told)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// As a server tells it.
async fn in_store(store: &impl Store) -> anyhow::Result<Value> {
    let desk = store.desk()?;
    let (jobs, truncated) = held::list(&desk.ledger, &desk.policy.namespace).await?;
    let jobs: Vec<JobView> = jobs.iter().map(JobView::from).collect();
    Ok(json!({"jobs": jobs, "truncated": truncated}))
}

fn print(out: &mut impl Write, told: &Value) -> io::Result<()> {
    let jobs = told["jobs"].as_array().map(Vec::as_slice).unwrap_or_default();
    if jobs.is_empty() {
        eprintln!("No job waits for a person.");
    } else {
        writeln!(out, "{}", table(jobs))?;
    }
    if told["truncated"] == true {
        writeln!(out, "There may be more than the {MOST_LISTED} that were looked at.")?;
    }
    Ok(())
}

fn table(jobs: &[Value]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["job", "tool", "begun", "attempts", "why"]);
    for job in jobs {
        let text = |value: &Value| value.as_str().unwrap_or("–").to_owned();
        table.add_row([
            text(&job["id"]),
            text(&job["tool"]),
            text(&job["started_at"]),
            job["attempts"].to_string(),
            on_one_line(&text(&job["error"]["message"])),
        ]);
    }
    table
}
