import { alert, config, when } from '../nodes.mjs';
import { workflow } from '../workflow.mjs';

const words = (at, text) => ({
	type: 'set',
	version: 3.4,
	at,
	parameters: {
		assignments: { assignments: [{ id: '5f0f2a77-6f0e-5d5e-8a52-6d63702d6261', name: 'text', value: `=${text}`, type: 'string' }] },
		options: {},
	},
});

export default workflow({
	name: 'Report failed n8n executions of mcp-batch workflows to people',
	description: `## Who it's for
People who run the other workflows of mcp-batch, or any workflows, and want to hear of an execution that failed without looking for it.

## How it works
This is an error workflow: n8n starts it when an execution of another workflow fails. It tells two cases apart. If an execution failed, the alert names the workflow, the node that was last at work, the message, and links to the execution. If a trigger could not start, there is no execution to link to, and the alert names the workflow and the trigger's message. The alert is a POST of {"text": …} to the address in Config, as Slack, Mattermost and many others take it; it is tried three times.

## How to set up
Fill in Config and publish: n8n calls no error workflow that is not. Then open each workflow that should be watched, its settings, and choose this one as its error workflow.

## Requirements
An address that takes a POST of JSON.

## How to customize
Put another way to tell people in place of "Tell people". Change the two sentences. Note that failures which a workflow answers itself, such as a refused batch, are no failed executions.`,
	overview: `## Report failed executions
### How it works
1. n8n starts this workflow when an execution of another one fails, if that one names this as its *error workflow*.
2. Did an execution fail, the text names the workflow, the last node and the message, and links to the execution.
3. Did a trigger fail to start, the text names the workflow and the trigger's message.
4. The text is posted to \`alert_url\` as \`{"text": …}\`, which Slack, Mattermost and many others take.

What a workflow answers itself, such as a batch that SQS refused, is no failed execution and is not told here.

### Setup
- [ ] Fill in **Config**, and publish: n8n calls no error workflow that is not
- [ ] In the settings of each workflow to be watched, choose this one as *Error workflow*
- [ ] Try it: it runs for production executions, not for those started in the editor`,
	sections: [
		['### What failed?', ['An execution failed', 'Config', 'Was there an execution?']],
		['### Tell', ['Words for an execution', 'Words for a trigger', 'Tell people']],
	],
	nodes: {
		'An execution failed': { type: 'errorTrigger', version: 1, at: [0, 0] },
		Config: config([1, 0], { alert_url: 'https://hooks.example.com/alerts' }),
		'Was there an execution?': when([2, 0], "$('An execution failed').first().json.execution !== undefined"),
		'Words for an execution': words(
			[3.5, -0.5],
			"{{ $('An execution failed').first().json.workflow.name }} failed in {{ $('An execution failed').first().json.execution.lastNodeExecuted }}: {{ $('An execution failed').first().json.execution.error.message }} {{ $('An execution failed').first().json.execution.url }}",
		),
		'Words for a trigger': words(
			[3.5, 0.5],
			"{{ $('An execution failed').first().json.workflow.name }} could not start: {{ $('An execution failed').first().json.trigger?.error?.message }}",
		),
		'Tell people': alert([4.5, 0], '$json.text'),
	},
	links: [
		['An execution failed', 'Config'],
		['Config', 'Was there an execution?'],
		['Was there an execution?', 0, 'Words for an execution'],
		['Was there an execution?', 1, 'Words for a trigger'],
		['Words for an execution', 'Tell people'],
		['Words for a trigger', 'Tell people'],
	],
});
