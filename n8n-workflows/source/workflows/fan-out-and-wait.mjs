import { CHECK_LINKS, SEND_LINKS, SEND_MEMBERS, SEND_NOTE, WHERE, checkNodes, sendNodes } from '../enqueue.mjs';
import { api, code, place, respond, when } from '../nodes.mjs';
import { workflow } from '../workflow.mjs';

const BATCH = "/v1/batches/{{ $('Read the answers').first().json.batch }}";

export default workflow({
	name: 'Fan out jobs to mcp-batch, sleep, and go on once with all results',
	description: `## Who it's for
People who split work into hundreds of LLM or MCP calls and want to go on when the last one is done, with all results, in order, without a loop that polls and without an execution that sits in memory.

## How it works
A webhook takes the jobs and answers with their ids. They are sent as one batch, whose callback is the resume URL of a Wait node, and the execution sleeps outside memory, through a restart too. mcp-batch counts the jobs as they end and calls back once, when all have. A callback that comes before the execution sleeps is refused by n8n and sent again by mcp-batch. The execution goes on with one item for each job: once, since n8n refuses a callback that comes again, as callbacks may. If nothing comes within a day, the batch is asked for its status: its results if it is complete, an error that says what is missing if not.

## How to set up
Fill in Config, give the webhook a Header Auth credential, give the send node you use its credential and disable the other one, then publish.

## Requirements
mcp-batch serve beside n8n, or an SQS queue that mcp-batch works off and its HTTP face.

## How to customize
Put your own nodes after "Use all results". Change how long it waits in the Wait node.`,
	overview: `## Fan out, sleep, go on once
### How it works
1. The jobs that arrive are sent as one batch. Its callback is this execution's resume URL.
2. The caller gets 202, and the execution sleeps outside memory, through a restart too.
3. mcp-batch counts the jobs as they end: succeeded, failed, held or cancelled. After the last one it calls back, once.
4. The execution goes on with one item for each job, in the order in which they came.
5. Too many results for one call (4 MiB), or no call within a day: they are read from mcp-batch, page by page. A batch that is not complete by then ends in an error.

### Setup
- [ ] Fill in **Config**: \`api_url\` too when you send by SQS
- [ ] Header Auth credential for the webhook
- [ ] Bearer Auth or AWS credential for the send node, disable the other; Bearer Auth for the two that read
- [ ] \`MCP_BATCH_CALLBACK_HOSTS\` names this n8n if its address is private
- [ ] Publish, then POST some jobs

If an execution fails, start it again by the same call, not by *Retry*: its resume URL is its own.`,
	sections: [
		['### Take and check\nNothing is sent unless every item is right.', ['Jobs arrive', 'Config', 'Check the jobs', 'Are they right?', 'Answer 400']],
		[SEND_NOTE, SEND_MEMBERS],
		['### Sleep\nNo loop and no polling: one call wakes it.', ['Are all taken?', 'Answer 202', 'Answer 400 or 502', 'Sleep until all are done', 'Woken by the callback?', 'Are the results in it?']],
		['### If no call came\nAsk how far the batch is.', ['Ask for the status', 'Is it complete?', 'Not complete']],
		['### Go on, once', ['Read the results', 'Results as items', 'Use all results']],
	],
	nodes: {
		...checkNodes('fan-out', { ...WHERE, prefix: 'n8n-fan-out', key_field: 'id', max_jobs: 1000 }),
		'Answer 400': respond([4, 0.5], 400, '{ error: "jobs are wrong", reasons: $json.reasons }'),
		...sendNodes(5.5, 0, ['sha256', 'name-jobs', 'with-batch', 'pack-requests'], ['read-answers', 'sum-up']),
		'Are all taken?': when([11, 0], '$json.rejected.length + $json.refused.length === 0'),
		'Answer 202': respond([12, 0], 202, '{ batch: $json.batch, jobs: $json.accepted.length, ids: $json.accepted }'),
		'Answer 400 or 502': respond(
			[12, 1],
			"={{ $json.rejected.length > 0 ? 400 : 502 }}",
			'{ error: "not all jobs were taken", rejected: $json.rejected, refused: $json.refused }',
		),
		'Sleep until all are done': {
			type: 'wait',
			version: 1.1,
			at: [13, 0],
			parameters: {
				resume: 'webhook',
				httpMethod: 'POST',
				limitWaitTime: true,
				resumeAmount: 24,
				options: {},
			},
		},
		'Woken by the callback?': when([14, 0], '$json.body !== undefined'),
		'Are the results in it?': when([15, 0], '$json.body.data.results !== undefined'),
		'Ask for the status': api([14, 2.5], 'GET', BATCH),
		'Is it complete?': when([15, 2.5], "$json.body?.state === 'complete'"),
		'Not complete': {
			type: 'stopAndError',
			version: 1,
			at: [16, 3],
			parameters: {
				errorMessage:
					"=Batch {{ $('Read the answers').first().json.batch }} is not complete: {{ JSON.stringify($json.body ?? $json.error ?? $json) }}",
			},
		},
		'Read the results': api([16.5, 1], 'GET', `${BATCH}/results`, {
			options: {
				pagination: {
					pagination: {
						paginationMode: 'responseContainsNextURL',
						nextURL: `={{ $('Config').first().json.api_url }}${BATCH}/results{{ $response.body?.next_cursor ? '?cursor=' + $response.body.next_cursor : '' }}`,
						paginationCompleteWhen: 'other',
						completeExpression: '={{ !$response.body?.next_cursor }}',
					},
				},
			},
		}),
		'Results as items': code([17.5, 0], ['results-as-items']),
		'Use all results': place([18.5, 0]),
	},
	links: [
		...CHECK_LINKS,
		['Are they right?', 1, 'Answer 400'],
		...SEND_LINKS,
		['Read the answers', 'Are all taken?'],
		['Are all taken?', 0, 'Answer 202'],
		['Are all taken?', 1, 'Answer 400 or 502'],
		['Answer 202', 'Sleep until all are done'],
		['Sleep until all are done', 'Woken by the callback?'],
		['Woken by the callback?', 0, 'Are the results in it?'],
		['Woken by the callback?', 1, 'Ask for the status'],
		['Are the results in it?', 0, 'Results as items'],
		['Are the results in it?', 1, 'Read the results'],
		['Ask for the status', 'Is it complete?'],
		['Is it complete?', 0, 'Read the results'],
		['Is it complete?', 1, 'Not complete'],
		['Read the results', 'Results as items'],
		['Results as items', 'Use all results'],
	],
});
