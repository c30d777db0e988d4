import { SEND_LINKS, SEND_MEMBERS, SEND_NOTE, WHERE, sendNodes } from '../enqueue.mjs';
import { code, config, makeTable, rows, when } from '../nodes.mjs';
import { workflow } from '../workflow.mjs';

export default workflow({
	name: 'Enqueue rows of a Data Table on a schedule to mcp-batch',
	description: `## Who it's for
People who keep work for an LLM or an MCP tool as rows of an n8n Data Table, and want it done in the background, each row once.

## How it works
Every five minutes the rows whose status is pending are read. Each gets a job id, made of a prefix and the row's key, which is written into the row before anything is sent. The jobs go to SQS or to mcp-batch's own HTTP face; rows that were taken become queued, rows that are wrong become rejected with the reason, and the rest stay pending for the next run. An overlapping or repeated run may send a row twice, and it runs once: its id is the same. The workflow that receives callbacks turns queued into done or failed, in the same row.

## How to set up
Fill in Config, run "Set up once" to make the table, give the send node you use its credential and disable the other one, then publish.

## Requirements
mcp-batch serve beside n8n, or an SQS queue that mcp-batch works off and AWS keys that may send to it; the workflow that receives callbacks.

## How to customize
Change the interval, the rows a run, the prefix or the name of the table.`,
	overview: `## Enqueue rows of a Data Table
### How it works
1. Rows with the status \`pending\` are read: \`tool\`, \`input\` (JSON), and if you like \`key\` and \`model\`.
2. Each row gets its \`job_id\`, prefix and key (without a key, the row's number), before anything is sent.
3. The jobs go to SQS or to mcp-batch; rows that were taken become \`queued\`, wrong ones \`rejected\`, with the reason.
4. The workflow that receives callbacks makes them \`done\` or \`failed\`.

A run that overlaps another may send a row twice. It runs once, since its id is the same.

### Setup
- [ ] Fill in **Config**
- [ ] Run **Set up once**: it makes the Data Table
- [ ] Bearer Auth or AWS credential for the send node; disable the other
- [ ] Receive callbacks with the workflow for that
- [ ] Add rows, publish`,
	sections: [
		['### Start\nOn time. By hand only to make the table, if there is none.', ['Every five minutes', 'Set up once', 'Config', 'Setting up?']],
		['### Name each row\nThe id is written first: a callback that comes early finds its row. A row that is no longer pending is left alone.', ['Read pending rows', 'Make the table', 'Name the rows', 'Keep the names']],
		[SEND_NOTE, SEND_MEMBERS],
		['### Mark\nOnly rows that are still pending: a fast callback may have been here.', ['Mark the rows']],
	],
	nodes: {
		'Every five minutes': {
			type: 'scheduleTrigger',
			version: 1.2,
			at: [0, 0],
			parameters: { rule: { interval: [{ field: 'minutes' }] } },
		},
		'Set up once': { type: 'manualTrigger', version: 1, at: [0, 1] },
		Config: config([1, 0], {
			...WHERE,
			prefix: 'n8n-rows',
			callback: 'https://n8n.example.com/webhook/mcp-batch/callback',
			table: 'mcp_batch_jobs',
			rows_per_run: 500,
		}),
		'Setting up?': when([2, 0], "$('Set up once').isExecuted"),
		'Make the table': makeTable([3, 1]),
		'Read pending rows': rows([3, 0], 'get', { status: 'pending' }, undefined, {
			limit: "={{ $('Config').first().json.rows_per_run }}",
		}),
		'Name the rows': code([4, 0], ['name-rows']),
		'Keep the names': rows([5, 0], 'update', { id: '={{ $json.row }}', status: 'pending' }, {
			job_id: '={{ $json.job_id }}',
			status: '={{ $json.status }}',
			error_message: '={{ $json.error_message }}',
		}),
		...sendNodes(6.5, 0, ['jobs-of-rows', 'with-callback', 'pack-requests'], ['read-answers', 'rows-of-answers']),
		'Mark the rows': rows([11, 0], 'update', { job_id: '={{ $json.job_id }}', status: 'pending' }, {
			status: '={{ $json.status }}',
			error_message: '={{ $json.error_message }}',
		}),
	},
	links: [
		['Every five minutes', 'Config'],
		['Set up once', 'Config'],
		['Config', 'Setting up?'],
		['Setting up?', 0, 'Make the table'],
		['Setting up?', 1, 'Read pending rows'],
		['Read pending rows', 'Name the rows'],
		['Name the rows', 'Keep the names'],
		['Keep the names', 'Pack requests'],
		...SEND_LINKS,
		['Read the answers', 'Mark the rows'],
	],
});
