// An agent uses the tools of mcp-batch over MCP.
import { deploy } from '../lib/exports.mjs';
import { check, holds, same, tell } from '../lib/report.mjs';
import { HEADER } from '../lib/stage.mjs';

export default async function (stage) {
	const serve = await stage.serve();
	if (!serve) return tell('left out: this mcp-batch has no `serve`');
	const n8n = await stage.n8n();
	const { state } = await stage.llm();
	const id = await deploy(n8n, 'agent-with-mcp', { config: { api_url: serve.url, model: 'fake' }, credentials: await stage.credentials() });
	const ask = (question) => n8n.post('mcp-batch/ask', { question }, { headers: HEADER });

	await check('the agent calls a tool of the catalog and answers 200 with what it said', async () => {
		const calls = state.calls;
		const { status, json } = await ask('What is this about: I was charged twice?');
		same(status, 200, 'status');
		holds(json.answer?.startsWith('The tool says: '), `an answer of the tool, found ${JSON.stringify(json)}`);
		same(state.calls - calls, 1, 'calls of the LLM by mcp-batch');
	});
	await check('the four tools for agents are offered too', async () => {
		state.wantedTool = 'enqueue_jobs';
		state.wantedArguments = { jobs: [{ id: 'from-an-agent', tool: 'summarize', input: { text: 'One. Two.' } }] };
		try {
			const { status, json } = await ask('Summarize this in the background: One. Two.');
			same(status, 200, 'status');
			holds(json.answer?.includes('from-an-agent'), `the job's id in the answer, found ${JSON.stringify(json)}`);
		} finally {
			state.wantedTool = 'classify';
			state.wantedArguments = undefined;
		}
	});
	await check('502 when the model is out of reach', async () => {
		state.isDown = true;
		try {
			same((await ask('Anything?')).status, 502, 'status');
		} finally {
			state.isDown = false;
		}
	});
	await n8n.unpublish(id);
}
