import { CHECK_LINKS, SEND_LINKS, SEND_MEMBERS, SEND_NOTE, WHERE, checkNodes, sendNodes } from '../enqueue.mjs';
import { respond, ways } from '../nodes.mjs';
import { workflow } from '../workflow.mjs';

export default workflow({
	name: 'Enqueue LLM and MCP jobs from a webhook to mcp-batch',
	description: `## Who it's for
People who want thousands of LLM or MCP calls done in the background, asked for by any program that can send a webhook, without holding an n8n execution open and without paying for a call twice.

## How it works
A webhook behind a header secret takes one job, an array of jobs, or {"jobs": […]}. All are checked before any is sent. Each gets an id from a prefix and the caller's own key: a field of the item, else the Idempotency-Key header, else a hash of its content. The jobs go to SQS in batches of ten, or to mcp-batch's own HTTP face, and the caller is answered: 202 with the ids, 400 with reasons, 502 with what was not taken. The same call sent again has the same ids, and what was run is not run again.

## How to set up
Fill in Config, give the webhook a Header Auth credential, give the send node you use its credential and disable the other one, then publish.

## Requirements
mcp-batch serve beside n8n, or an SQS queue that mcp-batch works off and AWS keys that may send to it.

## How to customize
Change the key's field, the limit of jobs a call, or the callback in Config.`,
	overview: `## Enqueue jobs from a webhook
### How it works
1. A webhook with a secret in a header takes one job, an array, or \`{"jobs": […]}\`: \`{"id", "tool", "input"}\`.
2. All are checked first: one wrong item, and nothing is sent.
3. Each job's id is the prefix and your key: the item's \`id\`, else the \`Idempotency-Key\` header, else a hash of the content. A call that is sent twice is paid once.
4. They go to SQS, ten a request, or to mcp-batch over HTTP.
5. The caller gets 202 with the ids, 400 with reasons, or 502 with what was not taken.

### Setup
- [ ] Fill in **Config**: \`send_by\` is \`http\` or \`sqs\`
- [ ] Header Auth credential for the webhook
- [ ] Bearer Auth credential (the key of mcp-batch) or AWS credential for the send node; disable the other
- [ ] \`callback\`: where results go, such as the workflow that receives callbacks
- [ ] Publish, then POST a job`,
	sections: [
		['### Take and check\nNothing is sent unless every item is right.', ['Jobs arrive', 'Config', 'Check the jobs', 'Are they right?']],
		[SEND_NOTE, SEND_MEMBERS],
		['### Answer\nA caller that got 502 sends the same call again: what was taken is not run twice.', ['What became of them?', 'Answer 202', 'Answer 400', 'Answer 502']],
	],
	nodes: {
		...checkNodes('enqueue', {
			...WHERE,
			prefix: 'n8n',
			key_field: 'id',
			callback: 'https://n8n.example.com/webhook/mcp-batch/callback',
			max_jobs: 1000,
		}),
		...sendNodes(5.5, 0, ['sha256', 'name-jobs', 'with-callback', 'pack-requests'], ['read-answers', 'sum-up']),
		'What became of them?': ways(
			[11, 0],
			[
				['Refused', '$json.refused.length > 0'],
				['Rejected', '$json.rejected.length > 0'],
			],
			'Accepted',
		),
		'Answer 202': respond([12, 1], 202, '{ accepted: $json.accepted.length, ids: $json.accepted }'),
		'Answer 400': respond([12, 0], 400, '{ error: "jobs are wrong", reasons: $json.reasons ?? $json.rejected, accepted: $json.accepted ?? [] }'),
		'Answer 502': respond([12, -1], 502, '{ error: "not all jobs were taken", accepted: $json.accepted, rejected: $json.rejected, refused: $json.refused }'),
	},
	links: [
		...CHECK_LINKS,
		['Are they right?', 1, 'Answer 400'],
		...SEND_LINKS,
		['Read the answers', 'What became of them?'],
		['What became of them?', 0, 'Answer 502'],
		['What became of them?', 1, 'Answer 400'],
		['What became of them?', 2, 'Answer 202'],
	],
});
