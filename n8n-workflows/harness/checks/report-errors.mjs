// The error workflow tells people of an execution that failed.
import { deploy } from '../lib/exports.mjs';
import { check, holds, same } from '../lib/report.mjs';
import { HEADER } from '../lib/stage.mjs';
import { until } from '../lib/wait.mjs';

export default async function (stage) {
	const n8n = await stage.n8n();
	const sink = await stage.sink();
	const credentials = await stage.credentials();
	const errorWorkflow = await deploy(n8n, 'report-errors', { config: { alert_url: `${sink.url}/errors` }, credentials });
	const failing = (workflow) => {
		workflow.nodes.find(({ name }) => name === 'Jobs arrive').parameters.path = 'mcp-batch/failing';
	};
	const id = await deploy(n8n, 'enqueue-from-webhook', {
		config: { send_by: 'pigeon', prefix: 'failing' },
		credentials,
		edit: failing,
		errorWorkflow,
		name: 'Bound to fail',
	});

	await check('an execution that failed is told of: workflow, node, message and link', async () => {
		const jobs = [{ tool: 'summarize', input: { text: 'One.' } }];
		same((await n8n.post('mcp-batch/failing', jobs, { headers: HEADER })).status, 500, 'status');
		await until('it is told', () => sink.on('/errors').length > 0);
		const [{ json }] = sink.on('/errors');
		for (const part of ['Bound to fail', 'Pack requests', 'send_by: expected http or sqs, found pigeon', '/executions/']) {
			holds(json.text.includes(part), `${part} in ${json.text}`);
		}
	});
	await check('the error workflow itself ends well', async () => {
		const [execution] = await until('it has ended', async () => {
			const found = await n8n.executions(errorWorkflow);
			return found[0]?.finished && found;
		});
		same(execution.status, 'success', 'status');
	});
	await n8n.unpublish(id);
}
