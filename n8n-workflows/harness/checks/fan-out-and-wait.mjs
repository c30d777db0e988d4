// A batch is sent, the execution sleeps, and goes on with everything in order: once, however often it is called back.
import { deploy } from '../lib/exports.mjs';
import { itemsOf, runsOf } from '../lib/n8n.mjs';
import { check, holds, same, tell } from '../lib/report.mjs';
import { HEADER } from '../lib/stage.mjs';
import { sleep, until } from '../lib/wait.mjs';

const PATH = 'mcp-batch/fan-out';
const RACES = 50;

export default async function (stage) {
	const n8n = await stage.n8n();
	const llm = await stage.llm();
	const sink = await stage.sink();
	const front = await stage.front();
	const post = (body, path = PATH) => n8n.post(path, body, { headers: HEADER });

	for (const { name, config } of await stage.worlds()) {
		const prefix = `fan-${config.send_by}`;
		const id = await deploy(n8n, 'fan-out-and-wait', {
			config: { ...config, prefix },
			credentials: await stage.credentials(),
			edit: (workflow) => countContinuations(workflow, `${sink.url}/${prefix}`),
		});
		const ended = async (count) =>
			until(`${count} executions have ended`, async () => {
				const executions = await n8n.executions(id);
				return executions.length >= count && executions.every(({ finished, status }) => finished || status === 'error') && executions;
			}, { everyMs: 500, patienceMs: 600_000 });
		const newest = async () => n8n.execution((await n8n.executions(id))[0].id);

		await check(`${name}: 500 jobs, one continuation, 500 items in order`, async () => {
			const began = Date.now();
			const answer = await post(jobs(500, 'five-hundred'));
			same([answer.status, answer.json.jobs], [202, 500], 'answer');
			const answered = Date.now() - began;
			await ended(1);
			const execution = await newest();
			same(itemsOf(execution, 'Use all results').map(({ id: jobId }) => jobId), answer.json.ids, 'ids of the results');
			same(runsOf(execution, 'Use all results'), 1, 'continuations in n8n');
			same(sink.on(`/${prefix}`).length, 1, 'continuations seen from outside');
			return `202 after ${answered} ms, results after ${Date.now() - began} ms`;
		});
		await check(`${name}: the same call again wakes its own execution, and calls the LLM not once`, async () => {
			const calls = llm.state.calls;
			await post(jobs(500, 'five-hundred'));
			await ended(2);
			same(itemsOf(await newest(), 'Use all results').length, 500, 'results');
			same(llm.state.calls, calls, 'calls of the LLM');
		});
		await check(`${name}: a failed job is one of the results`, async () => {
			await post([...jobs(1, 'one-fails'), { id: 'fails', tool: 'summarize', input: { text: 'refuse-me' } }]);
			await ended(3);
			const results = itemsOf(await newest(), 'Use all results');
			same(results.map(({ status }) => status), ['succeeded', 'failed'], 'statuses');
		});
		await check(`${name}: the callback races the Wait node ${RACES} times: ${RACES} continuations, no more, no less`, async () => {
			const before = sink.on(`/${prefix}`).length;
			const early = () => front.state.passed.filter(({ path, status }) => path.startsWith('/webhook-waiting/') && status === 409).length;
			const earlyBefore = early();
			for (let race = 0; race < RACES; race++) same((await post(jobs(1, `race-${race}`))).status, 202, 'status');
			await ended(3 + RACES);
			await sleep(5000);
			same(sink.on(`/${prefix}`).length - before, RACES, 'continuations seen from outside');
			const executions = await n8n.executions(id);
			same([executions.length, executions.filter(({ status }) => status === 'success').length], [3 + RACES, 3 + RACES], 'executions, and good ones');
			return `${early() - earlyBefore} callbacks came too early, got 409 and were sent again`;
		});
		await check(`${name}: n8n restarted while asleep: it goes on`, async () => {
			const before = sink.on(`/${prefix}`).length;
			const calls = llm.state.calls;
			llm.state.isHeld = true;
			const { status } = await post(jobs(20, 'restart'));
			same(status, 202, 'status');
			await until('it sleeps', async () => (await n8n.executions(id))[0].status === 'waiting');
			await n8n.restart();
			llm.state.isHeld = false;
			await ended(4 + RACES);
			same(itemsOf(await newest(), 'Use all results').length, 20, 'results');
			same([sink.on(`/${prefix}`).length - before, llm.state.calls - calls], [1, 20], 'continuations, and calls of the LLM');
		});
		await check(`${name}: wrong jobs are 400 and no batch`, async () => same((await post([{ tool: '' }])).status, 400, 'status'));
		await n8n.unpublish(id);
	}

	await whenNobodyCalls(stage, post);
}

// With the callback withheld: the time-out branch asks.
async function whenNobodyCalls(stage, post) {
	const n8n = await stage.n8n();
	const front = await stage.front();
	const serve = await stage.serve();
	if (!serve) return tell('left out: the time-out branch, which asks `mcp-batch serve`');
	const impatient = (workflow) => {
		const wait = workflow.nodes.find(({ type }) => type.endsWith('.wait'));
		Object.assign(wait.parameters, { resumeAmount: 3, resumeUnit: 'seconds' });
		workflow.nodes.find(({ name }) => name === 'Jobs arrive').parameters.path = 'mcp-batch/impatient';
	};
	const id = await deploy(n8n, 'fan-out-and-wait', {
		config: { send_by: 'http', api_url: serve.url, prefix: 'impatient' },
		credentials: await stage.credentials(),
		name: 'Impatient',
		edit: impatient,
	});
	const llm = await stage.llm();
	front.state.rule = ({ url }) => (url.startsWith('/webhook-waiting/') ? { status: 503, body: {} } : undefined);
	try {
		await check('with no callback in time, a complete batch is read from mcp-batch', async () => {
			const { json } = await post(jobs(30, 'complete'), 'mcp-batch/impatient');
			await until('it has ended', async () => (await n8n.executions(id))[0]?.finished, { everyMs: 500 });
			const results = itemsOf(await n8n.execution((await n8n.executions(id))[0].id), 'Use all results');
			same(results.map(({ id: jobId }) => jobId), json.ids, 'ids of the results');
		});
		await check('with no callback in time, an incomplete batch is an error that says so', async () => {
			llm.state.isHeld = true;
			await post(jobs(2, 'incomplete'), 'mcp-batch/impatient');
			const found = await until('it has failed', async () => (await n8n.executions(id)).find(({ status }) => status === 'error'), { everyMs: 500 });
			const { error } = (await n8n.execution(found.id)).data.resultData;
			holds(/is not complete/.test(error.message), `a message that the batch is not complete, found ${error.message}`);
		});
	} finally {
		llm.state.isHeld = false;
		front.state.rule = undefined;
	}
}

// A node after the last: one POST for each continuation, whatever n8n says of it.
function countContinuations(workflow, url) {
	const [x, y] = workflow.nodes.find(({ name }) => name === 'Use all results').position;
	workflow.nodes.push({
		id: '00000000-0000-4000-8000-000000000000',
		name: 'Count',
		type: 'n8n-nodes-base.httpRequest',
		typeVersion: 4.2,
		position: [x + 240, y],
		executeOnce: true,
		parameters: { method: 'POST', url, options: {} },
	});
	workflow.connections['Use all results'] = { main: [[{ node: 'Count', type: 'main', index: 0 }]] };
}

function jobs(count, key) {
	return Array.from({ length: count }, (_, index) => ({
		id: `${key}-${index}`,
		tool: 'classify',
		input: { text: `${key} ${index}: charged twice.`, categories: ['billing', 'bug'] },
	}));
}
