import { api, config, respond, webhook, ways } from '../nodes.mjs';
import { workflow } from '../workflow.mjs';

export default workflow({
	name: 'Run one job with mcp-batch and answer the webhook at once',
	description: `## Who it's for
People who need the answer of one LLM or MCP call now, in the same request, with the safety of jobs: checked input, counted tokens, and nothing paid twice when a caller tries again.

## How it works
A webhook behind a header secret takes {"tool", "input"} and hands it to mcp-batch's synchronous call. The answer comes back as it is: the result and its usage with 200; 400 with what is wrong with the input; 502 when the model or tool behind it failed. With an Idempotency-Key header the call is a job in the ledger: the same call sent again is answered from it, and one that takes longer than 25 seconds is answered with 202 and the job's id, to be asked for later or sent again.

## How to set up
Fill in Config, give the webhook a Header Auth credential and the call a Bearer Auth credential, then publish.

## Requirements
mcp-batch serve beside n8n, or mcp-batch's HTTP face on AWS.

## How to customize
Set a tool in Config to offer that one tool only. Put a Form or Chat Trigger in place of the webhook.`,
	overview: `## One job, answered now
### How it works
1. A webhook with a secret in a header takes \`{"tool", "input"}\`.
2. mcp-batch runs it while the caller waits.
3. The caller gets 200 with \`result\` and \`usage\`, 400 with what is wrong with the input, or 502 when the model or tool failed.
4. With an \`Idempotency-Key\` header the call is a job: sent again it costs nothing again. After 25 s the caller gets 202 and the job's id, and may send the same call again to get the result.

### Setup
- [ ] Fill in **Config**: where mcp-batch listens; \`tool\` if callers may use just one
- [ ] Header Auth credential for the webhook
- [ ] Bearer Auth credential (a key of mcp-batch with the scope \`call\`) for the call
- [ ] Publish, then POST \`{"tool": "summarize", "input": {"text": "…"}}\``,
	sections: [
		['### Ask\nThe caller waits.', ['A call arrives', 'Config', 'Call the tool']],
		['### Answer\nWhat mcp-batch said, in four kinds.', ['How did it go?', 'Answer 200', 'Answer 202', 'Answer 400', 'Answer 502']],
	],
	nodes: {
		'A call arrives': webhook([0, 0], 'call'),
		Config: config([1, 0], { api_url: 'http://127.0.0.1:8080', tool: '' }),
		'Call the tool': api([2, 0], 'POST', '/v1/call', {
			body: "JSON.stringify({ tool: $json.tool || $('A call arrives').first().json.body.tool, input: $('A call arrives').first().json.body.input })",
			headers: { 'Idempotency-Key': "={{ $('A call arrives').first().json.headers['idempotency-key'] }}" },
			// A caller's own key makes a second try safe; without one there is none.
			retryOnFail: false,
		}),
		'How did it go?': ways(
			[3.5, 0],
			[
				['Done', '$json.statusCode === 200'],
				['Takes longer', '$json.statusCode === 202'],
				['Wrong', '[400, 404, 409, 413, 422].includes($json.statusCode)'],
			],
			'Failed',
		),
		'Answer 200': respond([4.5, -1.5], 200, '$json.body'),
		'Answer 202': respond([4.5, -0.5], 202, '$json.body'),
		'Answer 400': respond([4.5, 0.5], 400, '$json.body'),
		'Answer 502': respond([4.5, 1.5], 502, '{ error: "the call failed", status: $json.statusCode, detail: $json.body?.detail ?? $json.error?.message ?? $json.error }'),
	},
	links: [
		['A call arrives', 'Config'],
		['Config', 'Call the tool'],
		['Call the tool', 'How did it go?'],
		['How did it go?', 0, 'Answer 200'],
		['How did it go?', 1, 'Answer 202'],
		['How did it go?', 2, 'Answer 400'],
		['How did it go?', 3, 'Answer 502'],
	],
});
