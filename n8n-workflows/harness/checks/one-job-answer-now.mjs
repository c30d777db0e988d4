// One call, answered while the caller waits.
import { deploy } from '../lib/exports.mjs';
import { check, holds, same, tell } from '../lib/report.mjs';
import { HEADER } from '../lib/stage.mjs';

export default async function (stage) {
	const serve = await stage.serve();
	if (!serve) return tell('left out: this mcp-batch has no `serve`');
	const n8n = await stage.n8n();
	const { state } = await stage.llm();
	const id = await deploy(n8n, 'one-job-answer-now', { config: { api_url: serve.url }, credentials: await stage.credentials() });
	const post = (body, headers = {}) => n8n.post('mcp-batch/call', body, { headers: { ...HEADER, ...headers } });
	const job = (text) => ({ tool: 'classify', input: { text, categories: ['billing', 'bug'] } });

	await check('200 with the result and its usage', async () => {
		const { status, json } = await post(job('Charged twice.'));
		same(status, 200, 'status');
		holds(json.result !== undefined && json.usage !== undefined, 'result and usage');
	});
	await check('the same call with an Idempotency-Key is paid once', async () => {
		const calls = state.calls;
		const first = await post(job('Charged three times.'), { 'idempotency-key': 'now-1' });
		const second = await post(job('Charged three times.'), { 'idempotency-key': 'now-1' });
		same([first.status, second.status], [200, 200], 'status');
		same(second.json.result, first.json.result, 'result');
		same(state.calls - calls, 1, 'calls of the LLM');
	});
	await check('a call that takes longer than 25 s: 202 with the job’s id, and the same call has the result later', async () => {
		state.isHeld = true;
		const first = await post(job('Charged slowly.'), { 'idempotency-key': 'now-slow' });
		state.isHeld = false;
		same(first.status, 202, 'status');
		holds(first.json.id, 'an id');
		same((await post(job('Charged slowly.'), { 'idempotency-key': 'now-slow' })).status, 200, 'status later');
	});
	await check('400 with the field at fault', async () => {
		const { status, json } = await post({ tool: 'no-such-tool', input: {} });
		same(status, 400, 'status');
		holds(json.detail, 'a detail');
	});
	await check('502 when the LLM refuses', async () => {
		const { status } = await post({ tool: 'summarize', input: { text: 'refuse-me' } });
		same(status, 502, 'status');
	});
	await check('403 without the header’s secret', async () => {
		same((await n8n.post('mcp-batch/call', job('x'))).status, 403, 'status');
	});
	await n8n.unpublish(id);
}
