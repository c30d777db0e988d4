import { code, config, makeTable, place, respond, rows, ways, when } from '../nodes.mjs';
import { workflow } from '../workflow.mjs';

const STORED = ['job_id', 'tool', 'status', 'result', 'error_class', 'error_message', 'cost_usd', 'finished_at', 'webhook_id', 'webhook_timestamp'];

export default workflow({
	name: 'Receive signed callbacks from mcp-batch and store each result',
	description: `## Who it's for
People who send jobs to mcp-batch and want each result in a Data Table, and something done with it, with nobody else able to put results there.

## How it works
A webhook takes the callbacks. The signature, by Standard Webhooks, is computed anew over the very bytes that came and compared; the time must be within five minutes. What is forged, replayed or stale is answered with 401 and stores nothing. A callback that was stored before, sent again since its answer was lost, is answered with 200 and stored no second time. Everything else is written into the row of its job, and only then answered. Then the workflow goes different ways for a success, for each class of failure, and for a whole batch.

## How to set up
Make a secret with "mcp-batch secret new". Give the whsec_ text to mcp-batch and the plain text to a Crypto credential here. Run "Set up once" to make the table, publish, and let jobs call back to the webhook's address.

## Requirements
mcp-batch that can reach this n8n, and MCP_BATCH_CALLBACK_HOSTS naming it where its address is private.

## How to customize
Put your own nodes at the five ends. Change the table or the tolerance in Config.`,
	overview: `## Receive signed callbacks
### How it works
1. The webhook keeps the raw body: the signature is over those bytes.
2. **Sign it ourselves** makes the signature that the callback should bear; the next node compares, and the time must be now, give or take \`tolerance_s\`.
3. Forged, replayed or stale: 401, and nothing is stored. Sent again since an answer was lost: 200, not stored twice.
4. The row of the job is written, and only then comes the 200. If that fails, mcp-batch tries again.
5. Then your nodes: one way for a success, one for each kind of failure, one for batches.

### Setup
- [ ] \`mcp-batch secret new\` makes a secret. \`MCP_BATCH_CALLBACK_SECRETS\` gets the \`whsec_…\` text, the **Crypto** credential (HMAC secret) the plain text
- [ ] Run **Set up once**: it makes the Data Table
- [ ] Publish, and set the \`callback\` of jobs to this webhook's production URL
- [ ] \`MCP_BATCH_CALLBACK_HOSTS\` names this n8n if its address is private`,
	sections: [
		['### Is it genuine?\nStandard Webhooks: HMAC-SHA256 over id, time and raw body.', ['Callback arrives', 'Raw body', 'Set up once', 'Config', 'Setting up?', 'Sign it ourselves', 'Check the callback', 'Is it genuine?']],
		['### Store, then answer\nA repeated id with a newer time is a retry; with the same time it is a replay.', ['Make the table', 'Was it here before?', 'New or not?', 'Row of the job', 'Store the row', 'Answer 200', 'Note the retry', 'Answer 200 again', 'Answer 401']],
		['### Your part\nPut your own nodes here.', ['What came?', 'Use the result', 'Mend the job', 'Look at the upstream', 'Some other failure', 'A batch is done']],
	],
	nodes: {
		'Callback arrives': {
			type: 'webhook',
			version: 2,
			at: [0, 0],
			parameters: {
				httpMethod: 'POST',
				path: 'mcp-batch/callback',
				responseMode: 'responseNode',
				options: { rawBody: true },
			},
		},
		'Raw body': {
			type: 'extractFromFile',
			version: 1,
			at: [1, 0],
			parameters: { operation: 'text', destinationKey: 'raw', options: { keepSource: 'json' } },
			onError: 'continueRegularOutput',
		},
		'Set up once': { type: 'manualTrigger', version: 1, at: [1, 1] },
		Config: config([2, 0], { tolerance_s: 300, table: 'mcp_batch_jobs' }),
		'Setting up?': when([3, 0], "$('Set up once').isExecuted"),
		'Make the table': makeTable([7.5, -1]),
		'Sign it ourselves': {
			type: 'crypto',
			version: 2,
			at: [4, 0],
			parameters: {
				action: 'hmac',
				value:
					"={{ $('Raw body').item.json.headers['webhook-id'] }}.{{ $('Raw body').item.json.headers['webhook-timestamp'] }}.{{ $('Raw body').item.json.raw }}",
				dataPropertyName: 'expected',
				encoding: 'base64',
			},
		},
		'Check the callback': code([5, 0], ['check-callback'], { each: true }),
		'Is it genuine?': when([6, 0], '$json.genuine'),
		'Was it here before?': rows([7.5, 0], 'get', { webhook_id: '={{ $json.id }}' }, undefined, {
			limit: 1,
			alwaysOutputData: true,
		}),
		'New or not?': ways(
			[8.5, 0],
			[
				['New', '$json.webhook_id === undefined'],
				['A retry', "$json.webhook_timestamp < $('Check the callback').item.json.timestamp"],
			],
			'A replay',
		),
		'Row of the job': code([9.5, -0.5], ['row-of-callback'], { each: true }),
		'Store the row': rows(
			[10.5, -0.5],
			'upsert',
			{ job_id: '={{ $json.job_id }}' },
			Object.fromEntries(STORED.map((name) => [name, `={{ $json.${name} }}`])),
		),
		'Answer 200': respond([11.5, -0.5], 200, '{ stored: true }'),
		'Note the retry': rows([10.5, 0.5], 'update', { webhook_id: '={{ $json.webhook_id }}' }, {
			webhook_timestamp: "={{ $('Check the callback').item.json.timestamp }}",
		}),
		'Answer 200 again': respond([11.5, 0.5], 200, '{ stored: true, again: true }'),
		'Answer 401': respond([11.5, 1.5], 401, '{ error: "the signature, the time or the id is not valid" }'),
		'What came?': ways(
			[13, -0.5],
			[
				['Succeeded', "$('Store the row').item.json.status === 'done'"],
				['Batch', "$('Store the row').item.json.status === 'batch'"],
				['Invalid', "$('Store the row').item.json.error_class === 'invalid'"],
				['Permanent or exhausted', "['permanent', 'exhausted'].includes($('Store the row').item.json.error_class)"],
			],
			'Other',
		),
		'Use the result': place([14, -2.5]),
		'A batch is done': place([14, -1.5]),
		'Mend the job': place([14, -0.5]),
		'Look at the upstream': place([14, 0.5]),
		'Some other failure': place([14, 1.5]),
	},
	links: [
		['Callback arrives', 'Raw body'],
		['Raw body', 'Config'],
		['Set up once', 'Config'],
		['Config', 'Setting up?'],
		['Setting up?', 0, 'Make the table'],
		['Setting up?', 1, 'Sign it ourselves'],
		['Sign it ourselves', 'Check the callback'],
		['Check the callback', 'Is it genuine?'],
		['Is it genuine?', 0, 'Was it here before?'],
		['Is it genuine?', 1, 'Answer 401'],
		['Was it here before?', 'New or not?'],
		['New or not?', 0, 'Row of the job'],
		['New or not?', 1, 'Note the retry'],
		['New or not?', 2, 'Answer 401'],
		['Row of the job', 'Store the row'],
		['Store the row', 'Answer 200'],
		['Note the retry', 'Answer 200 again'],
		['Answer 200', 'What came?'],
		['What came?', 0, 'Use the result'],
		['What came?', 1, 'A batch is done'],
		['What came?', 2, 'Mend the job'],
		['What came?', 3, 'Look at the upstream'],
		['What came?', 4, 'Some other failure'],
	],
});
