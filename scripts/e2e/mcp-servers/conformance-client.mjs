// What the conformance suite takes for a client: `mcp-batch` with a catalog of one server, whose
// jobs are the calls that the scenario wants.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";

const url = process.argv.at(-1);
const { MCP_BATCH, ERA, MCP_CONFORMANCE_SCENARIO: scenario } = process.env;
const context = JSON.parse(process.env.MCP_CONFORMANCE_CONTEXT || "{}");
const folder = fs.mkdtempSync(path.join(os.tmpdir(), "mcp-batch-conformance-"));
const server = ["[servers.suite]", `url = ${JSON.stringify(url)}`, `era = "${ERA}"`, "timeout_s = 20"];
// A client's credentials: those that the scenario gives, or some, where it judges what is asked with them.
const { client_id = "mcp-batch", client_secret = "of-nobody" } = context;
if (scenario.startsWith("auth/")) {
  server.push("[servers.suite.oauth]", `client_id = ${JSON.stringify(client_id)}`, 'client_secret = "secret:SUITE_SECRET"');
}
fs.writeFileSync(path.join(folder, "tools.toml"), server.join("\n"));
const env = { ...process.env, SUITE_SECRET: client_secret };

const run = (...given) => {
  const all = [...given, "--tools", "tools.toml"];
  const { stdout, status } = spawnSync(MCP_BATCH, all, { cwd: folder, env, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  console.error(`mcp-batch ${all.join(" ")}: ${status}`);
  return { stdout, status };
};

// What a scenario does not name is called as the tool's own schema allows. An argument `schema` is that of another tool.
const sample = { string: "text", number: 1, integer: 1, boolean: true, object: {}, array: [] };
const invent = ({ name, input_schema: { properties } }, listed) => {
  const other = listed.find((tool) => tool.name !== name)?.input_schema;
  const known = { a: 5, b: 3, schema: other };
  const fields = Object.entries(properties ?? {}).map(([key, field]) => [key, field.default ?? known[key] ?? sample[field.type]]);
  return { name: name.slice("suite/".length), arguments: Object.fromEntries(fields) };
};

const { stdout, status } = run("tools", "--json");
const listed = JSON.parse(stdout).tools;
const calls = context.toolCalls ?? listed.map((tool) => invent(tool, listed));
if (calls.length && scenario !== "initialize") {
  const jobs = calls.map((call, n) => JSON.stringify({ id: `call-${n}`, tool: `suite/${call.name}`, input: call.arguments ?? {} }));
  fs.writeFileSync(path.join(folder, "jobs.jsonl"), jobs.join("\n"));
  run("run", "jobs.jsonl", "--json");
  console.error(fs.readFileSync(path.join(folder, "results.jsonl"), "utf8"));
}
fs.rmSync(folder, { recursive: true });
// A client that was let in nowhere says so.
process.exitCode = status;
