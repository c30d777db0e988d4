// A thousand jobs call back to a fresh n8n, at mcp-batch's default of five at once to a host.
import { COLUMNS } from '../../source/nodes.mjs';
import { deploy, makeCredentials } from '../lib/exports.mjs';
import { N8n } from '../lib/n8n.mjs';
import { check, holds, same } from '../lib/report.mjs';
import { until } from '../lib/wait.mjs';
import { startProxy } from '../lib/stand-ins.mjs';

const JOBS = 1000;
const LIMIT_MIB = 1536;

export default async function (stage) {
	for (const { name, config } of await stage.worlds()) {
		let n8n;
		const front = await startProxy(() => n8n.url);
		n8n = await N8n.start(stage.folder, front.url);
		const credentials = await makeCredentials(n8n, {
			headerSecret: 'unused',
			hmacText: stage.secret.text,
			bearer: 'unused',
			llmUrl: 'http://127.0.0.1:9',
		});
		const table = await n8n.createTable('mcp_batch_jobs', COLUMNS);
		await deploy(n8n, 'receive-callbacks', { credentials });
		await until('the webhook is there', async () => (await n8n.post('mcp-batch/callback', {})).status === 401);

		await check(`${name}: ${JOBS} callbacks: all answered, none lost, memory under 1.5 GB`, async () => {
			const began = Date.now();
			await stage.enqueue(config, Array.from({ length: JOBS }, (_, index) => ({
				id: `many-${config.send_by}-${index}`,
				tool: 'classify',
				input: { text: `Many ${index}: charged twice.`, categories: ['billing', 'bug'] },
				callback: `${front.url}/webhook/mcp-batch/callback`,
			})));
			const answers = () => front.state.passed.filter(({ path }) => path === '/webhook/mcp-batch/callback');
			await until('all are stored', async () => (answers().length >= JOBS ? (await n8n.rows(table)).length >= JOBS : false), { everyMs: 1000, patienceMs: 1_800_000 });
			const took = (Date.now() - began) / 1000;
			const rows = await n8n.rows(table);
			same([rows.length, new Set(rows.map(({ job_id }) => job_id)).size], [JOBS, JOBS], 'rows, and jobs among them');
			const statuses = Object.entries(Object.groupBy(answers(), ({ status }) => status)).map(([status, all]) => [status, all.length]);
			same(statuses, [['200', JOBS]], 'answers');
			const { peak, now } = n8n.memory();
			holds(peak < LIMIT_MIB, `at most ${LIMIT_MIB} MiB, found ${peak}`);
			return `${(JOBS / took).toFixed(1)} a second, at most ${peak} MiB, ${now} MiB at the end`;
		});
		await n8n.stop();
		front.close();
	}
}
