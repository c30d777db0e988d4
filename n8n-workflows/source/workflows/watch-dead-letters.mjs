import { alert, code, config, place, respond, sqs, webhook, when } from '../nodes.mjs';
import { workflow } from '../workflow.mjs';

export default workflow({
	name: 'Watch the dead letters of mcp-batch in SQS, alert and replay them',
	description: `## Who it's for
People who run mcp-batch on AWS and want to hear of jobs that were given up, and to send them again by one call once the reason is gone.

## How it works
Every five minutes the number of dead letters is read. When there are more than were told of last, an alert with the counts is posted to the address in Config, in the form that Slack, Mattermost and many others take; so it is when the queue cannot be read. A webhook behind a header secret starts a replay: SQS moves the dead letters back to their queue, at the pace in Config. mcp-batch takes each as a request to run the job again; jobs that have succeeded meanwhile are not paid for again.

## How to set up
Fill in Config, give both SQS nodes the AWS credential and the webhook a Header Auth credential, then publish.

## Requirements
AWS keys with sqs:GetQueueAttributes and sqs:StartMessageMoveTask on the queue of dead letters, and sqs:ReceiveMessage, sqs:DeleteMessage there and sqs:SendMessage on the queue they return to.

## How to customize
Change the interval, the threshold or the pace. Put another way to tell people in place of "Tell people". To replay only some letters, by class, tool or age, use "mcp-batch dlq replay".`,
	overview: `## Watch the dead letters
### How it works
1. Every five minutes the number of dead letters is read from SQS.
2. Are there more than \`alert_above\`, and more than were told of last, an alert with the counts goes to \`alert_url\`. So it does when the queue can't be read.
3. A POST to the webhook starts a replay: SQS moves the letters back to their queue, \`replay_per_s\` a second. Jobs that have succeeded meanwhile are not paid for again.

To replay only some, by class, tool or age, use \`mcp-batch dlq replay\`.

### Setup
- [ ] Fill in **Config**: address and ARN of the queue of dead letters, and where alerts go
- [ ] AWS credential for both SQS nodes: \`sqs:GetQueueAttributes\`, \`sqs:StartMessageMoveTask\`, \`sqs:ReceiveMessage\`, \`sqs:DeleteMessage\`, and \`sqs:SendMessage\` on the jobs' queue
- [ ] Header Auth credential for the webhook
- [ ] Publish`,
	sections: [
		['### Start\nOn time to look, by webhook to replay.', ['Every five minutes', 'Somebody asks for a replay', 'Config', 'A replay?']],
		['### Look\nTold once for each rise, not every five minutes.', ['Read the counts', 'Compare the count', 'Anything to tell?', 'Tell people', 'All is well']],
		['### Replay\nmcp-batch runs what has not succeeded.', ['Start the replay', 'Did it start?', 'Answer 202', 'Answer 502']],
	],
	nodes: {
		'Every five minutes': {
			type: 'scheduleTrigger',
			version: 1.2,
			at: [0, 0],
			parameters: { rule: { interval: [{ field: 'minutes' }] } },
		},
		'Somebody asks for a replay': webhook([0, 1.5], 'replay'),
		Config: config([1, 0.5], {
			dlq_url: 'https://sqs.eu-central-1.amazonaws.com/123456789012/mcp-batch-dlq',
			dlq_arn: 'arn:aws:sqs:eu-central-1:123456789012:mcp-batch-dlq',
			alert_url: 'https://hooks.example.com/alerts',
			alert_above: 0,
			replay_per_s: 10,
		}),
		'A replay?': when([2, 0.5], "$('Somebody asks for a replay').isExecuted"),
		'Read the counts': sqs(
			[3.5, -0.5],
			'GetQueueAttributes',
			"JSON.stringify({ QueueUrl: $json.dlq_url, AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] })",
			{ queue: 'dlq_url' },
		),
		'Compare the count': code([4.5, -0.5], ['compare-count']),
		'Anything to tell?': when([5.5, -0.5], '$json.tell'),
		'Tell people': alert([6.5, -1], '$json.text'),
		'All is well': place([6.5, 0]),
		'Start the replay': sqs(
			[3.5, 2],
			'StartMessageMoveTask',
			'JSON.stringify({ SourceArn: $json.dlq_arn, MaxNumberOfMessagesPerSecond: $json.replay_per_s })',
			// Sent again it would find the first task at work, and look like a failure.
			{ queue: 'dlq_url', retryOnFail: false },
		),
		'Did it start?': when([4.5, 2], '$json.TaskHandle !== undefined'),
		'Answer 202': respond([5.5, 1.5], 202, '{ started: true, task: $json.TaskHandle }'),
		'Answer 502': respond([5.5, 2.5], 502, '{ error: "the replay did not start", reason: $json.error?.message ?? $json.error ?? $json }'),
	},
	links: [
		['Every five minutes', 'Config'],
		['Somebody asks for a replay', 'Config'],
		['Config', 'A replay?'],
		['A replay?', 0, 'Start the replay'],
		['A replay?', 1, 'Read the counts'],
		['Read the counts', 'Compare the count'],
		['Compare the count', 'Anything to tell?'],
		['Anything to tell?', 0, 'Tell people'],
		['Anything to tell?', 1, 'All is well'],
		['Start the replay', 'Did it start?'],
		['Did it start?', 0, 'Answer 202'],
		['Did it start?', 1, 'Answer 502'],
	],
});
