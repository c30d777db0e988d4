//! Lints the exported workflows: those that are named, else all beside this crate.

#![expect(clippy::print_stderr, clippy::print_stdout, reason = "a command prints")]

use std::{
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use mcp_batch_n8n_lint::{Catalog, lint};

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("n8n-lint: {error}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let named: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let files = if named.is_empty() { exports()? } else { named };
    let catalog = Catalog::pinned()?;
    let mut is_clean = true;
    for file in &files {
        let text =
            fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        for finding in lint(&text, &catalog) {
            is_clean = false;
            println!("{}: {finding}", file.display());
        }
    }
    if is_clean {
        println!("{} workflows, nothing found", files.len());
    }
    Ok(is_clean)
}

fn exports() -> Result<Vec<PathBuf>, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut files = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(format!("{}: no workflow was found", folder.display()).into());
    }
    Ok(files)
}
