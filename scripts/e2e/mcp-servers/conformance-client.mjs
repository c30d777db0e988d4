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
const catalog = `[servers.suite]\nurl = ${JSON.stringify(url)}\nera = "${ERA}"\ntimeout_s = 20\n`;
fs.writeFileSync(path.join(folder, "tools.toml"), catalog);

const run = (...given) => {
  const all = [...given, "--tools", "tools.toml"];
  const { stdout, status } = spawnSync(MCP_BATCH, all, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  console.error(`mcp-batch ${all.join(" ")}: ${status}`);
  return stdout;
};

// What a scenario does not name is called as the tool's own schema allows.
const sample = { string: "text", number: 1, integer: 1, boolean: true, object: {}, array: [] };
const invent = ({ name, input_schema: schema }) => {
  const fields = Object.entries(schema.properties ?? {}).map(([key, field]) => [key, field.default ?? (key === "b" ? 3 : key === "a" ? 5 : sample[field.type])]);
  return { name: name.slice("suite/".length), arguments: Object.fromEntries(fields) };
};

const listed = JSON.parse(run("tools", "--json")).tools;
const calls = context.toolCalls ?? listed.map(invent);
if (calls.length && scenario !== "initialize") {
  const jobs = calls.map((call, n) => JSON.stringify({ id: `call-${n}`, tool: `suite/${call.name}`, input: call.arguments ?? {} }));
  fs.writeFileSync(path.join(folder, "jobs.jsonl"), jobs.join("\n"));
  run("run", "jobs.jsonl", "--json");
  console.error(fs.readFileSync(path.join(folder, "results.jsonl"), "utf8"));
}
fs.rmSync(folder, { recursive: true });
