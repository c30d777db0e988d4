// The TypeScript SDK's client: lists the tools, calls one, sends jobs and asks after them.
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const client = new Client({ name: "e2e", version: "1.0.0" });
await client.connect(new StreamableHTTPClientTransport(new URL(process.argv[2])));

const { tools } = await client.listTools();
const names = tools.map((tool) => tool.name);
expect(names.includes("summarize") && names.includes("enqueue_jobs"), names);

const call = (name, input) => client.callTool({ name, arguments: input });
const summary = await call("summarize", { text: "One. Two. Three.", sentences: 1 });
expect(!summary.isError && summary.content[0].text.length > 0, summary);

const jobs = [{ tool: "summarize", input: { text: "Four. Five." } }];
const { structuredContent: sent } = await call("enqueue_jobs", { jobs });
expect(sent.accepted === 1, sent);
let job;
do {
  await new Promise((resolve) => setTimeout(resolve, 50));
  job = (await call("job_status", { id: sent.jobs[0].id })).structuredContent;
} while (job.state !== "succeeded");
console.log(`${tools.length} tools, job ${job.state}`);
await client.close();

function expect(holds, seen) {
  if (!holds) throw new Error(`unexpected: ${JSON.stringify(seen)}`);
}
