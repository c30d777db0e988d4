// Jobs from a webhook, in both worlds: once each, whatever is sent twice; all or nothing; the reason when not.
import { createHash } from 'node:crypto';
import { deploy } from '../lib/exports.mjs';
import { check, holds, same } from '../lib/report.mjs';
import { HEADER } from '../lib/stage.mjs';
import { sleep, until } from '../lib/wait.mjs';

const PATH = 'mcp-batch/enqueue';

export default async function (stage) {
	const n8n = await stage.n8n();
	const llm = await stage.llm();
	await stage.receiver();
	const table = await n8n.tableId('mcp_batch_jobs');
	const post = (body, headers = {}) => n8n.post(PATH, body, { headers: { ...HEADER, ...headers } });
	const done = async (ids) => {
		const rows = await n8n.rows(table);
		return ids.every((id) => rows.some(({ job_id, status }) => job_id === id && status === 'done'));
	};

	for (const { name, config } of await stage.worlds()) {
		const prefix = `web-${config.send_by}`;
		const id = await deploy(n8n, 'enqueue-from-webhook', {
			config: { ...config, prefix, callback: await stage.callback() },
			credentials: await stage.credentials(),
		});
		let answer;
		await check(`${name}: 25 jobs with keys of their own: 202 with their ids, and 25 results come back`, async () => {
			answer = await post(tickets(25, 'own'));
			same([answer.status, answer.json.ids], [202, numbered(25, `${prefix}-own`)], 'answer');
			await until('all are stored as done', () => done(answer.json.ids));
		});
		await check(`${name}: the same call sent twice makes one set of jobs`, async () => {
			const calls = llm.state.calls;
			const again = await post(tickets(25, 'own'));
			same([again.status, again.json.ids], [202, answer.json.ids], 'answer');
			// Jobs sent after them have been run: so have these.
			const later = await post(tickets(1, 'after-own'));
			await until('a later job is done', () => done(later.json.ids));
			await stage.settled(config);
			same(llm.state.calls - calls, 1, 'calls of the LLM, that of the later job');
		});
		await check(`${name}: without keys the content is the key`, async () => {
			const first = await post({ jobs: [{ tool: 'summarize', input: { text: 'One. Two.', sentences: 1 } }] });
			const second = await post([{ input: { sentences: 1, text: 'One. Two.' }, tool: 'summarize' }]);
			same([first.status, second.status], [202, 202], 'status');
			same(second.json.ids, first.json.ids, 'ids');
			const content = '{"input":{"sentences":1,"text":"One. Two."},"tool":"summarize"}';
			same(first.json.ids, [`${prefix}-${createHash('sha256').update(content).digest('hex').slice(0, 32)}`], 'ids by the hash');
			await until('it is done', () => done(first.json.ids));
		});
		await check(`${name}: an Idempotency-Key is the key of a whole call`, async () => {
			const jobs = tickets(2).map(({ id: _, ...job }) => job);
			const { status, json } = await post(jobs, { 'idempotency-key': '"call-1"' });
			same([status, json.ids], [202, [`${prefix}-call-1-0`, `${prefix}-call-1-1`]], 'answer');
			await until('they are done', () => done(json.ids));
		});
		await check(`${name}: one wrong item, and nothing is sent: 400 with the reasons`, async () => {
			const calls = llm.state.calls;
			const jobs = [...tickets(1, 'wrong'), { tool: 7, input: [], extra: 1 }, { tool: 'summarize', input: {}, id: 'no spaces' }];
			const { status, json } = await post(jobs);
			same(status, 400, 'status');
			same(json.reasons.map(({ item, field }) => [item, field]), [[1, 'extra'], [1, 'tool'], [1, 'input'], [2, 'id']], 'reasons');
			await stage.settled(config);
			same(llm.state.calls, calls, 'calls of the LLM');
		});
		await check(`${name}: nothing, too much and the same key twice are 400 as well`, async () => {
			same((await post([])).status, 400, 'status of nothing');
			same((await post(tickets(1001, 'many'))).status, 400, 'status of 1,001 jobs');
			same((await post([...tickets(1, 'twin'), ...tickets(1, 'twin')])).status, 400, 'status of twins');
		});
		await check(`${name}: without the header's secret it is 403, and no execution`, async () => {
			const settled = async () => {
				const count = async () => (await n8n.executions(id)).length;
				return until('no execution is being saved', async () => {
					const before = await count();
					await sleep(2000);
					return before === (await count()) && before;
				});
			};
			const before = await settled();
			same((await n8n.post(PATH, tickets(1, 'nobody'))).status, 403, 'status');
			same(await settled(), before, 'executions');
		});
		if (config.send_by === 'sqs') await whenSqsFails(stage, post);
		await n8n.unpublish(id);
		await stage.settled(config);
		await aThousand(stage, name, { ...config, prefix: `${prefix}-many` });
	}
	await check('with mcp-batch out of reach it is 502', async () => {
		await deploy(n8n, 'enqueue-from-webhook', {
			config: { send_by: 'http', api_url: 'http://127.0.0.1:9', prefix: 'gone', callback: '' },
			credentials: await stage.credentials(),
			name: 'Out of reach',
			edit: ({ nodes }) => (nodes.find(({ name }) => name === 'Jobs arrive').parameters.path = 'mcp-batch/gone'),
		});
		const { status, json } = await n8n.post('mcp-batch/gone', tickets(2, 'gone'), { headers: HEADER });
		same([status, json.refused.length], [502, 2], 'answer');
		holds(json.refused[0].reason, 'a reason');
	});
}

// Their callbacks go elsewhere: how fast n8n takes those is shown by many-callbacks.
async function aThousand(stage, name, config) {
	const n8n = await stage.n8n();
	const { url } = await stage.sink();
	const id = await deploy(n8n, 'enqueue-from-webhook', { config: { ...config, callback: `${url}/many` }, credentials: await stage.credentials(), name: 'A thousand' });
	await check(`${name}: 1,000 jobs by one call`, async () => {
		const began = Date.now();
		const { status, json } = await n8n.post(PATH, tickets(1000, 'one'), { headers: HEADER });
		same([status, json.accepted], [202, 1000], 'answer');
		return `202 after ${Date.now() - began} ms`;
	});
	await n8n.unpublish(id);
	await stage.settled(config);
}

async function whenSqsFails(stage, post) {
	const { state } = await stage.sqsProxy();
	await check('SQS: what it refuses of a batch is told with 502, and the rest is accepted', async () => {
		state.rule = refuseSome;
		try {
			const { status, json } = await post(tickets(12, 'some'));
			same([status, json.accepted.length, json.refused.length], [502, 10, 2], 'answer');
			same(json.refused[0].reason, 'InternalError: on purpose', 'reason');
		} finally {
			state.rule = undefined;
		}
	});
	await check('SQS: when it is down it is 502, and the call sent again makes up for it', async () => {
		state.rule = () => ({ status: 503, body: {} });
		try {
			const { status, json } = await post(tickets(12, 'down'));
			same([status, json.refused.length], [502, 12], 'answer');
		} finally {
			state.rule = undefined;
		}
		same((await post(tickets(12, 'down'))).status, 202, 'status of the second call');
	});
}

// Takes batches of ten, and nothing of a smaller one.
function refuseSome({ headers, body }) {
	if (!headers['x-amz-target']?.endsWith('SendMessageBatch')) return undefined;
	const { Entries } = JSON.parse(body);
	if (Entries.length === 10) return undefined;
	const Failed = Entries.map(({ Id }) => ({ Id, Code: 'InternalError', Message: 'on purpose', SenderFault: false }));
	return { status: 200, body: { Successful: [], Failed } };
}

function tickets(count, key) {
	return numbered(count, key).map((id, index) => ({
		id,
		tool: 'classify',
		input: { text: `I was charged ${index} times too often.`, categories: ['billing', 'bug'] },
	}));
}

function numbered(count, key) {
	return Array.from({ length: count }, (_, index) => `${key}-${index}`);
}
