//! `mcp-batch tools` and `mcp-batch call`.

use mcp_batch_testkit::{FakeLlm, FakeMcp};
use serde_json::{Value, json};

use super::rig::toml;
use crate::helpers::{Folder, Run, closed_port};

fn command<'a>(folder: &'a Folder, name: &str, url: &str, rest: &str) -> Run<'a> {
    folder.write("tools.toml", toml(url, rest));
    folder.command(name).args(["--tools", "tools.toml"])
}

#[tokio::test]
async fn tools_are_listed_with_their_schemas_those_of_servers_with_them() {
    let server = FakeMcp::start().await;
    let folder = Folder::new();
    let ended = command(&folder, "tools", &server.url(), "").args(["--json"]).finish().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let listing: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    let tools = listing["tools"].as_array().expect("tools");
    let echo = tools.iter().find(|tool| tool["name"] == "s/echo").expect("it is listed");
    assert_eq!(echo["input_schema"]["properties"]["text"]["type"], "string");
    assert_eq!((&echo["retry"], &echo["timeout_s"]), (&json!("safe"), &json!(60.0)));
    assert_eq!(echo["annotations"]["readOnlyHint"], true);

    let ended = folder.command("tools").finish().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout.contains("summarize") && ended.stdout.contains("sentences?, text"));
}

#[tokio::test]
async fn a_check_says_in_one_line_each_what_is_wrong() {
    let server = FakeMcp::start().await;
    let folder = Folder::new();
    let ended = command(&folder, "tools", &server.url(), "").args(["--check"]).finish().await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    assert!(ended.stdout.starts_with("all is well"), "{}", ended.stdout);

    let rest = format!(
        "[servers.s.tools.ehco]\nretry = \"safe\"\n\
         [servers.down]\nurl = \"{}\"\n\
         [servers.locked]\nurl = \"{}\"\nbearer = \"secret:NO_SUCH\"",
        closed_port(),
        server.url()
    );
    let ended = command(&folder, "tools", &server.url(), &rest).args(["--check"]).finish().await;
    assert_eq!(ended.code, Some(1));
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    for (part, problem) in [
        ("down: ", "cannot be reached"),
        ("locked: ", "there is no secret NO_SUCH"),
        ("s/ehco: ", "does not list it"),
    ] {
        let line = lines.iter().find(|line| line.starts_with(part)).expect(part);
        assert!(line.contains(problem), "{line}");
    }
}

#[tokio::test]
async fn a_servers_long_names_and_texts_make_no_long_lines() {
    let server = FakeMcp::start().await;
    let long = "\u{1b}[31m".to_owned() + &"x".repeat(50_000);
    let schema = json!({"type": "object", "properties": {long.as_str(): {}}});
    server.set_tools([json!({"name": long, "description": long, "inputSchema": schema})]);
    let folder = Folder::new();
    for arguments in [vec![], vec!["--check"]] {
        let mut run = command(&folder, "tools", &server.url(), "");
        for argument in arguments {
            run = run.args([argument]);
        }
        let ended = run.finish().await;
        let is_short = ended.stdout.lines().all(|line| line.chars().count() <= 1_001);
        assert!(is_short && !ended.stdout.contains('\u{1b}'), "{}", ended.stdout);
    }
}

#[tokio::test]
async fn a_check_asks_the_llm_for_every_model_that_the_catalog_names() {
    let catalog = "model = \"default\"\n[models.priced]\nconcurrency = 3\n\
                   [tools.a]\ndescription = \"\"\nuser = \"a\"\ninput_schema = {}\n\
                   [tools.b]\ndescription = \"\"\nuser = \"b\"\ninput_schema = {}\nmodel = \"own/b\"\n";
    let folder = Folder::new();
    folder.write("tools.toml", catalog);
    let check = async |llm: &FakeLlm| {
        let command = folder.command("tools").args(["--check", "--tools", "tools.toml"]);
        let ended = command.llm(llm).finish().await;
        (ended.code, ended.stdout.lines().map(str::to_owned).collect::<Vec<_>>())
    };
    let llm = FakeLlm::builder().models(["default", "priced", "own/*"]).start().await;
    assert_eq!(check(&llm).await, (Some(0), vec!["all is well: 2 tools".to_owned()]));

    let llm = FakeLlm::builder().models(["other"]).start().await;
    let (code, lines) = check(&llm).await;
    assert_eq!((code, lines.len()), (Some(1), 3), "{lines:?}");
    for (line, [model, why]) in lines.iter().zip([
        ["default: ", "the tool a needs it"],
        ["own/b: ", "the tool b needs it"],
        ["priced: ", "the catalog has a table for it"],
    ]) {
        assert!(line.starts_with(model) && line.ends_with(why), "{line}");
    }
}

#[tokio::test]
async fn a_check_that_the_llm_does_not_answer_is_no_success() {
    let folder = Folder::new();
    let check = async |llm: &FakeLlm| {
        let ended = folder.command("tools").args(["--check"]).llm(llm).finish().await;
        assert_eq!((ended.code, ended.stdout.lines().count()), (Some(1), 1), "{}", ended.stdout);
        ended.stdout
    };
    // It knows no such path.
    let said = check(&FakeLlm::start().await).await;
    assert!(said.starts_with("llm: the LLM answered 404") && said.contains("MCP_BATCH_LLM_URL"));

    let llm = FakeLlm::builder().models(["default"]).start().await;
    llm.require_key("another");
    let said = check(&llm).await;
    assert!(
        said.starts_with("llm: the LLM answered 401") && said.contains("MCP_BATCH_LLM_API_KEY")
    );
}

#[tokio::test]
async fn one_tool_is_called_now_and_its_result_printed() {
    let server = FakeMcp::start().await;
    let folder = Folder::new();
    let call = |arguments: [&str; 3]| command(&folder, "call", &server.url(), "").args(arguments);

    let ended = call(["s/echo", "--input", r#"{"text": "tea"}"#]).finish().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let result: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(result["content"][0]["text"], "tea");
    assert!(ended.stderr.trim_end().ends_with(" s"), "it says how long it took: {}", ended.stderr);

    let ended = call(["s/echo", "--input", "-"]).stdin(r#"{"text": "from there"}"#).finish().await;
    assert!(ended.stdout.contains("from there"), "{}", ended.stderr);

    folder.write("input.json", r#"{"text": "from a file"}"#);
    let ended = call(["s/echo", "--json", "--input=@input.json"]).finish().await;
    let report: Value = serde_json::from_str(&ended.stdout).expect("one JSON object");
    assert_eq!(report["result"]["content"][0]["text"], "from a file");
    assert!(report["took_ms"].is_u64() && report["usage"].is_object(), "{report}");
    assert!(!folder.path("mcp-batch.db").exists(), "there is no ledger");
}

#[tokio::test]
async fn a_call_ends_with_a_code_that_says_whose_fault_it_was() {
    let server = FakeMcp::start().await;
    let folder = Folder::new();
    let cases = [
        (["s/is_error", "{}"], 1, ""),
        (["s/rpc_32603", "{}"], 1, "error: the MCP server s answered with the error -32603"),
        (["s/no_such", "{}"], 2, "error: tool: expected a tool of the MCP server s"),
        (["s/echo", "{"], 2, "error: --input: expected a JSON object"),
        (["s/echo", "[]"], 2, "error: input: expected"),
        (["s/echo", r#"{"text": 1}"#], 2, "error: input.text: "),
        (["no such", "{}"], 2, "error: tool: expected"),
        (["s/echo", "@no-such-file"], 2, "error: --input: no-such-file"),
    ];
    for ([tool, input], code, said) in cases {
        let call = command(&folder, "call", &server.url(), "").args([tool, "--input", input]);
        let ended = call.finish().await;
        assert_eq!(ended.code, Some(code), "{tool}: {}", ended.stderr);
        assert!(ended.stderr.starts_with(said), "{tool}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn a_prompt_can_be_tried_in_the_same_way() {
    let llm = FakeLlm::start().await;
    let folder = Folder::new();
    let ended = folder
        .command("call")
        .args(["summarize", "--input", r#"{"text": "One."}"#, "--llm-url", &llm.url()])
        .finish()
        .await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stderr.contains("tokens"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("cut off"), "{}", ended.stderr);
    assert_eq!(llm.calls(), 1);

    let input = r#"{"text": "One. [[length]]"}"#;
    let call =
        folder.command("call").args(["summarize", "--input", input, "--llm-url", &llm.url()]);
    let ended = call.finish().await;
    assert!(ended.stderr.contains("cut off at max_tokens"), "{}", ended.stderr);
}
