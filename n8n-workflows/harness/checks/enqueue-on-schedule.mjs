// Rows of a Data Table become jobs, once each: pending, queued, done.
import { deploy, soon } from '../lib/exports.mjs';
import { check, same } from '../lib/report.mjs';
import { until } from '../lib/wait.mjs';

export default async function (stage) {
	const n8n = await stage.n8n();
	const llm = await stage.llm();
	await stage.receiver();

	const table = await n8n.tableId('mcp_batch_jobs');
	for (const { name, config } of await stage.worlds()) {
		const prefix = `rows-${config.send_by}`;
		const ours = async () => (await n8n.rows(table)).filter(({ key }) => key?.startsWith(`${prefix}-key`));
		const calls = llm.state.calls;
		await n8n.addRows(table, [
			...Array.from({ length: 23 }, (_, index) => row(`${prefix}-key-${index}`, { text: `Row ${index}: charged twice.`, categories: ['billing', 'bug'] })),
			{ ...row(`${prefix}-key-not-json`), input: 'not JSON' },
			{ ...row(`${prefix}-key-no-tool`, {}), tool: '' },
		]);
		const settings = { config: { ...config, prefix, callback: await stage.callback() }, credentials: await stage.credentials(), edit: soon };
		const ids = [await deploy(n8n, 'enqueue-on-schedule', settings)];
		await check(`${name}: 23 rows go from pending to done, two wrong ones to rejected`, async () => {
			await until('they did', async () => {
				const rows = await ours();
				return rows.filter(({ status }) => status === 'done').length === 23 && rows.filter(({ status }) => status === 'rejected').length === 2;
			});
			const rows = await ours();
			same(rows.length, 25, 'rows: none was added');
			same(rows.find(({ key }) => key.endsWith('not-json')).error_message, 'input: expected a JSON object', 'reason');
			same(llm.state.calls - calls, 23, 'calls of the LLM');
		});
		await check(`${name}: two schedules over the same rows run each once`, async () => {
			const before = llm.state.calls;
			ids.push(await deploy(n8n, 'enqueue-on-schedule', { ...settings, name: 'A second schedule' }));
			await n8n.addRows(table, Array.from({ length: 50 }, (_, index) => row(`${prefix}-key-twice-${index}`, { text: `Twice ${index}`, categories: ['billing', 'bug'] })));
			const twice = async () => (await ours()).filter(({ key }) => key.includes('twice'));
			await until('all are done', async () => (await twice()).every(({ status }) => status === 'done'));
			await stage.settled(config);
			same([llm.state.calls - before, (await twice()).length], [50, 50], 'calls of the LLM, and rows');
		});
		for (const id of ids) await n8n.unpublish(id);
	}
}

function row(key, input) {
	return { key, tool: 'classify', input: JSON.stringify(input ?? {}), status: 'pending' };
}
