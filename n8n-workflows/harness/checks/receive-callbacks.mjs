// Signed callbacks are stored and told apart; whatever else comes is refused and stores nothing.
import { deploy } from '../lib/exports.mjs';
import { runsOf } from '../lib/n8n.mjs';
import { check, same } from '../lib/report.mjs';
import { newSecret, signed } from '../lib/signature.mjs';
import { until } from '../lib/wait.mjs';

const PATH = 'mcp-batch/callback';
const NOW = () => Math.floor(Date.now() / 1000);

export default async function (stage) {
	const n8n = await stage.n8n();
	const id = await stage.receiver();
	const table = await n8n.tableId('mcp_batch_jobs');
	const send = (body, headers) => n8n.post(PATH, undefined, { raw: body, headers });
	const rowsOf = async (jobId) => (await n8n.rows(table)).filter(({ job_id }) => job_id === jobId);
	const ends = async (executions, node) => {
		const found = await n8n.executions(id, { withData: true, limit: 20 });
		return found.slice(0, executions).some((execution) => runsOf(execution, node) > 0);
	};

	await check('“Set up once” makes the table', () => same(typeof table, 'string', 'the id of the table'));

	const good = succeeded('genuine-1');
	const headers = signed(stage.secret, good);
	await check('a genuine callback is answered 200 and its result stored', async () => {
		same((await send(good, headers)).status, 200, 'status');
		const [row] = await rowsOf('genuine-1');
		same([row.status, row.result, row.tool, row.webhook_id], ['done', '"billing"', 'classify', headers['webhook-id']], 'row');
	});
	await check('a success goes the way of successes', () => until('it did', () => ends(1, 'Use the result')));

	for (const [errorClass, node] of [
		['invalid', 'Mend the job'],
		['permanent', 'Look at the upstream'],
		['exhausted', 'Look at the upstream'],
		['configuration', 'Some other failure'],
	]) {
		await check(`a failure of class ${errorClass} is stored and goes its own way`, async () => {
			const body = failed(`failed-${errorClass}`, errorClass);
			same((await send(body, signed(stage.secret, body))).status, 200, 'status');
			const [row] = await rowsOf(`failed-${errorClass}`);
			same([row.status, row.error_class], ['failed', errorClass], 'row');
			await until(`“${node}” ran`, () => ends(1, node));
		});
	}
	await check('a batch is stored and goes its own way', async () => {
		const body = event('batch.completed', { id: 'b-1', size: 1, succeeded: 1, results: [] });
		same((await send(body, signed(stage.secret, body))).status, 200, 'status');
		same((await rowsOf('batch:b-1')).length, 1, 'rows');
		await until('it did', () => ends(1, 'A batch is done'));
	});
	await check('bodies of every kind are verified over their own bytes', async () => {
		const body = `{"type":"job.succeeded", "timestamp":"2026-11-25T00:00:00Z",\n"data":{"id":"bytes-1","tool":"t","result":{"a":1.0,"b":12345678901234567890,"c":"Grüße, 世界 \\u00e9"}}}`;
		same((await send(body, signed(stage.secret, body))).status, 200, 'status');
		same((await rowsOf('bytes-1')).length, 1, 'rows');
	});

	const refused = async (what, body, its) => {
		await check(`${what} is refused with 401 and stores nothing`, async () => {
			const before = await n8n.rows(table);
			same((await send(body, its)).status, 401, 'status');
			same(await n8n.rows(table), before, 'rows');
		});
	};
	const evil = succeeded('evil-1');
	await refused('a callback signed with another secret', evil, signed(newSecret(), evil));
	await refused('a callback without a signature', evil, {});
	await refused('a callback without a body', '', {});
	await refused('a tampered callback', evil, signed(stage.secret, good));
	await refused('a stale callback', evil, signed(stage.secret, evil, { timestamp: NOW() - 301 }));
	await refused('a callback from the future', evil, signed(stage.secret, evil, { timestamp: NOW() + 400 }));
	await refused('a replayed callback', good, headers);
	await refused('another body under a signed id', evil, { ...headers });
	await refused('a signed body that is no event', '[]', signed(stage.secret, '[]'));

	await check('a retry of a stored callback is answered 200 and not stored again', async () => {
		const before = await n8n.rows(table);
		const again = signed(stage.secret, good, { id: headers['webhook-id'], timestamp: NOW() + 2 });
		same((await send(good, again)).status, 200, 'status');
		same((await n8n.rows(table)).length, before.length, 'number of rows');
		same((await send(good, again)).status, 401, 'status of the retry, replayed');
	});
	await check('one of two signatures is enough, as while a secret is rotated', async () => {
		const body = succeeded('rotated-1');
		const ours = signed(stage.secret, body);
		const theirs = signed(newSecret(), body, { id: ours['webhook-id'], timestamp: ours['webhook-timestamp'] });
		const both = { ...ours, 'webhook-signature': `${theirs['webhook-signature']} ${ours['webhook-signature']}` };
		same((await send(body, both)).status, 200, 'status');
	});
}

function succeeded(id) {
	return event('job.succeeded', { id, tool: 'classify', result: 'billing', usage: { cost_usd: 0.01 }, finished_at: '2026-11-25T00:00:00Z' });
}

function failed(id, errorClass) {
	return event('job.failed', { id, tool: 'classify', error: { class: errorClass, code: 'a_code', message: 'It failed.' } });
}

function event(type, data) {
	return JSON.stringify({ type, timestamp: '2026-11-25T00:00:00Z', data });
}
