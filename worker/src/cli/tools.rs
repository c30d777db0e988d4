//! `mcp-batch tools`: what jobs may call, and what is wrong with it.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use comfy_table::{ContentArrangement, Table, presets::UTF8_FULL_CONDENSED};
use serde_json::{Value, json};

use super::{
    SOME_FAILED,
    setup::{self, LlmArgs},
    words::{counted, on_one_line},
    world::{Client, ServerArgs},
};
use crate::{
    clock::Clock,
    config::{self, Source},
    secret::Secrets,
    tool::{Listing, Problem, Tools},
};

/// The longest text of a server's in the table, in characters.
const MAX_TEXT_CHARS: usize = 200;

/// The longest line of a check, in characters.
const MAX_LINE_CHARS: usize = 1_000;

/// Lists the tools that jobs may call, with those of the MCP servers: of a catalog, or of a server of
/// ours.
///
/// Exit code 0: all is well; 1: something is wrong; 2: bad usage, or a catalog that cannot be read.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    llm: LlmArgs,

    #[command(flatten)]
    server: ServerArgs,

    /// Connect to every MCP server, ask the LLM for every model, and say in one line each what is
    /// wrong.
    #[arg(long)]
    check: bool,

    /// Print one JSON object, with the schemas.
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(super) async fn main(args: Args) -> anyhow::Result<ExitCode> {
    let source = args.server.source(args.llm.source(Source::from_env()));
    if args.server.is_chosen(&source, args.llm.typed())? {
        return args.ask(&Client::new(config::client(&source)?)?).await;
    }
    let secrets = Secrets::fixed(source.clone())?;
    let catalog = setup::catalog(
        &source,
        args.llm.is_offline(),
        &secrets,
        &Clock::system(),
        setup::to_person,
    )?;
    let (listing, problems) = if args.check {
        catalog.examine().await
    } else {
        let listing = catalog.list().await;
        let problems = listing.unreachable.clone();
        (listing, problems)
    };
    match (args.json, args.check) {
        (true, _) => writeln!(io::stdout(), "{}", as_json(&listing, &problems))?,
        (false, true) => print_check(&listing, &problems)?,
        (false, false) => {
            print_table(json!(listing.tools).as_array().into_iter().flatten())?;
            for it in &listing.unreachable {
                writeln!(io::stderr(), "{}", on_one_line(&it.to_string()))?;
            }
        }
    }
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
}

impl Args {
    /// What a server of ours offers.
    async fn ask(&self, client: &Client) -> anyhow::Result<ExitCode> {
        anyhow::ensure!(!self.check, "--check is for a catalog: it examines what a server uses");
        let list = client.get("/v1/tools").await?;
        let unreachable: Vec<_> = list["unreachable"].as_array().into_iter().flatten().collect();
        let problem =
            |it: &&Value| json!({"part": it["server"], "problem": it["error"]["message"]});
        let problems: Vec<_> = unreachable.iter().map(problem).collect();
        match self.json {
            true => {
                let told = json!({"tools": list["tools"], "problems": problems});
                writeln!(io::stdout(), "{told}")?;
            }
            false => print_table(list["tools"].as_array().into_iter().flatten())?,
        }
        Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(SOME_FAILED) })
    }
}

fn as_json(listing: &Listing, problems: &[Problem]) -> Value {
    json!({"tools": listing.tools, "problems": problems})
}

fn print_check(listing: &Listing, problems: &[Problem]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if problems.is_empty() {
        writeln!(out, "all is well: {}", counted(listing.tools.len() as u64, "tool", "tools"))?;
    }
    for problem in problems {
        let line = on_one_line(&problem.to_string());
        writeln!(out, "{}", shortened(line, MAX_LINE_CHARS))?;
    }
    Ok(())
}

fn print_table<'a>(tools: impl Iterator<Item = &'a Value>) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["tool", "input", "retry", "timeout", "description"]);
    for tool in tools {
        let text = |name: &str| {
            let text = on_one_line(tool[name].as_str().unwrap_or_default());
            shortened(text, MAX_TEXT_CHARS)
        };
        table.add_row([
            text("name"),
            shortened(fields(&tool["input_schema"]), MAX_TEXT_CHARS),
            text("retry"),
            format!("{} s", tool["timeout_s"].as_f64().unwrap_or_default()),
            text("description"),
        ]);
    }
    writeln!(io::stdout(), "{table}")
}

/// The names of the input's fields; optional ones with a question mark.
fn fields(schema: &Value) -> String {
    let required = |name: &str| {
        let required = schema["required"].as_array().into_iter().flatten();
        required.into_iter().any(|required| required == name)
    };
    let names = schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys());
    let names = names.map(|name| match required(name) {
        true => on_one_line(name),
        false => format!("{}?", on_one_line(name)),
    });
    names.collect::<Vec<_>>().join(", ")
}

/// Servers write for models, at length.
fn shortened(text: String, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
