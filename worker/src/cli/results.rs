//! `mcp-batch results`: what the jobs of a batch came to.

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use serde_json::{Value, json};

use super::{
    SOME_FAILED, batch,
    output::Output,
    store::Store,
    words::counted,
    world::{Client, World, WorldArgs},
};
use crate::{
    fan_in::{BatchKey, member_data},
    job::BatchId,
    lease::Ledger,
};

/// Members that are read at once.
const READ_AT_ONCE: usize = 200;

/// Writes the results of a batch as JSON Lines, in the order of their index.
///
/// Each line is what the batch's callback tells of a job; what has not ended is not among them. Exit
/// code 1: the ledger knows no such batch, or jobs of it are still awaited, or were when it was closed at its expires_at.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The batch's id.
    #[arg(value_name = "BATCH_ID")]
    id: BatchId,

    /// Where they go; a file appears whole or not at all; `-` writes standard output.
    #[arg(long, value_name = "FILE", default_value = "-")]
    out: PathBuf,

    /// The index to begin with.
    #[arg(long, value_name = "INDEX", default_value_t = 0)]
    from: u64,

    /// Print what was written as one JSON object, on standard error if the results go to standard
    /// output.
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    world: WorldArgs,
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let world = args.world.open_to_read().await?;
    let id = &args.id;
    // What has ended by now is among the results that are read later.
    let batch = batch::find(&world, id).await?;
    let Some(batch) = batch else { return Ok(batch::unknown(id)) };
    let unwritable = || format!("{}: the results cannot be written there", args.out.display());
    let mut lines = Lines { out: Output::create(&args.out).with_context(unwritable)?, count: 0 };
    match &world {
        World::File(store) => from_store(store, &args, &mut lines).await?,
        #[cfg(feature = "aws")]
        World::Aws(store) => from_store(store, &args, &mut lines).await?,
        World::Server(client) => from_server(client, &args, &mut lines).await?,
    }
    lines.out.finish().with_context(unwritable)?;
    args.tell(lines.count, &batch)?;
    let is_complete = batch["state"] == "complete";
    Ok(if is_complete { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
}

/// The lines of the file.
struct Lines {
    out: Output,
    count: u64,
}

impl Lines {
    fn push(&mut self, result: &Value) -> io::Result<()> {
        self.count += 1;
        writeln!(self.out, "{result}")
    }
}

/// Page by page: a batch may have a million jobs.
async fn from_store(store: &impl Store, args: &Args, lines: &mut Lines) -> anyhow::Result<()> {
    let desk = store.desk()?;
    let key = BatchKey::of(&desk.policy.namespace, &args.id);
    let mut next = args.from;
    loop {
        let members = desk.ledger.members(key, next, READ_AT_ONCE).await?;
        let Some(last) = members.last() else { return Ok(()) };
        next = last.index + 1;
        for member in members.iter().filter(|member| member.is_counted) {
            lines.push(&member_data(member))?;
        }
    }
}

async fn from_server(client: &Client, args: &Args, lines: &mut Lines) -> anyhow::Result<()> {
    let route = format!("/v1/batches/{}/results", args.id);
    let mut path = route.clone();
    loop {
        let mut page = client.get(&path).await?;
        for mut result in page["results"].as_array_mut().into_iter().flatten().map(Value::take) {
            if result["index"].as_u64().is_some_and(|index| index < args.from) {
                continue;
            }
            fetch_if_omitted(client, &mut result).await?;
            lines.push(&result)?;
        }
        let Some(cursor) = page["next_cursor"].as_str() else { return Ok(()) };
        path = format!("{route}?cursor={cursor}");
    }
}

/// A result that was too large for its page.
async fn fetch_if_omitted(client: &Client, result: &mut Value) -> anyhow::Result<()> {
    if result["result_omitted"] != true {
        return Ok(());
    }
    let id = result["id"].as_str().unwrap_or_default();
    let mut job = client.get(&format!("/v1/jobs/{id}")).await?;
    if let Some(fields) = result.as_object_mut() {
        fields.shift_remove("result_omitted");
        fields.insert("result".to_owned(), job["result"].take());
    }
    Ok(())
}

impl Args {
    fn tell(&self, written: u64, batch: &Value) -> io::Result<()> {
        let summary = json!({"written": written, "out": self.out, "batch": batch});
        let results = counted(written, "result", "results");
        let text = match (self.json, batch["state"].as_str()) {
            (true, _) => summary.to_string(),
            (false, Some("complete")) => format!("{results}: {}", self.out.display()),
            (false, _) => {
                let ended = &batch["ended"];
                let size = batch["size"].as_u64().map_or("?".to_owned(), |size| size.to_string());
                format!("{results}, {ended} of {size} jobs have ended: {}", self.out.display())
            }
        };
        match self.out == Path::new("-") {
            true => writeln!(io::stderr(), "{text}"),
            false => writeln!(io::stdout(), "{text}"),
        }
    }
}
