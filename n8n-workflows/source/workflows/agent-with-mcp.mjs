import { config, respond, webhook } from '../nodes.mjs';
import { workflow } from '../workflow.mjs';

export default workflow({
	name: 'Give an AI agent the tools and batches of mcp-batch over MCP',
	description: `## Who it's for
People whose agent should use the tools that mcp-batch offers, and start hundreds of them in the background without waiting for each.

## How it works
A webhook behind a header secret takes a question. An AI Agent answers it with a chat model and the tools that the MCP Client node finds at mcp-batch: every tool of its catalog, and four to enqueue jobs, to ask for a job or a batch, and to read a batch's results. The agent calls short work at once and enqueues long work, telling the ids to whoever asked. The caller gets 200 with the answer, or 502 when the model cannot be reached.

## How to set up
Fill in Config, give the webhook a Header Auth credential, the MCP Client a Bearer Auth credential, and the chat model an OpenAI credential whose base URL is that of LiteLLM or any other OpenAI-compatible API, then publish.

## Requirements
mcp-batch serve beside n8n, or mcp-batch's HTTP face on AWS; a chat model that can call tools.

## How to customize
Put a Chat Trigger in place of the webhook, add a memory, choose which tools the MCP Client offers.`,
	overview: `## An agent with mcp-batch's tools
### How it works
1. A webhook with a secret in a header takes \`{"question"}\`.
2. The agent answers it with the tools that the **MCP Client** finds at mcp-batch's \`/mcp\`: all of its catalog, and \`enqueue_jobs\`, \`job_status\`, \`batch_status\` and \`batch_results\`.
3. Short work it calls at once; long work it enqueues, and tells the ids.
4. The caller gets 200 with the answer, or 502 if the model or mcp-batch can't be reached.

### Setup
- [ ] Fill in **Config**
- [ ] Header Auth credential for the webhook
- [ ] Bearer Auth credential (a key of mcp-batch with the scopes \`call\`, \`enqueue\`, \`read\`) for the MCP Client
- [ ] OpenAI credential for the model; its base URL may be LiteLLM's
- [ ] Publish, then POST \`{"question": "Summarize …"}\``,
	sections: [
		['### Ask\nA Chat Trigger does as well.', ['A question arrives', 'Config']],
		['### Think\nThe MCP Client offers what mcp-batch has.', ['Answer the question', 'Chat model', 'Tools of mcp-batch']],
		['### Answer', ['Answer 200', 'Answer 502']],
	],
	nodes: {
		'A question arrives': webhook([0, 0], 'ask'),
		Config: config([1, 0], { api_url: 'http://127.0.0.1:8080', model: 'gpt-4o-mini' }),
		'Answer the question': {
			type: '@n8n/n8n-nodes-langchain.agent',
			version: 2.1,
			at: [2.5, 0],
			parameters: {
				promptType: 'define',
				text: "={{ $('A question arrives').first().json.body.question }}",
				options: {
					systemMessage:
						'You answer with the help of tools. Call a tool for short work. For many items use enqueue_jobs once, with ids that follow from the items, and tell the ids; never enqueue the same work twice.',
					maxIterations: 10,
				},
			},
			onError: 'continueErrorOutput',
		},
		'Chat model': {
			type: '@n8n/n8n-nodes-langchain.lmChatOpenAi',
			version: 1.2,
			at: [2.5, 1],
			parameters: {
				model: { __rl: true, mode: 'id', value: "={{ $('Config').first().json.model }}" },
				options: { timeout: 60000, maxRetries: 2 },
			},
		},
		'Tools of mcp-batch': {
			type: '@n8n/n8n-nodes-langchain.mcpClientTool',
			version: 1.2,
			at: [3.5, 1],
			parameters: {
				endpointUrl: "={{ $('Config').first().json.api_url }}/mcp",
				authentication: 'bearerAuth',
				options: { timeout: 60000 },
			},
		},
		'Answer 200': respond([5, -0.5], 200, '{ answer: $json.output }'),
		'Answer 502': respond([5, 0.5], 502, '{ error: "the agent failed", reason: $json.error?.message ?? $json.error }'),
	},
	links: [
		['A question arrives', 'Config'],
		['Config', 'Answer the question'],
		['Chat model', 'Answer the question', { type: 'ai_languageModel' }],
		['Tools of mcp-batch', 'Answer the question', { type: 'ai_tool' }],
		['Answer the question', 0, 'Answer 200'],
		['Answer the question', 1, 'Answer 502'],
	],
});
