// Dead letters are told of once for each rise, and replayed by one call.
import { deploy, soon } from '../lib/exports.mjs';
import * as aws from '../lib/aws.mjs';
import { check, holds, same, tell } from '../lib/report.mjs';
import { HEADER } from '../lib/stage.mjs';
import { sleep, until } from '../lib/wait.mjs';

export default async function (stage) {
	if (!aws.isThere()) return tell('left out: dead letters are in SQS, and there is no loopback AWS');
	const n8n = await stage.n8n();
	const sink = await stage.sink();
	const proxy = await stage.sqsProxy();
	const { queueUrl, dlqUrl, dlqArn } = await stage.aws();
	const config = {
		dlq_url: proxy.url + new URL(dlqUrl).pathname,
		dlq_arn: dlqArn,
		alert_url: `${sink.url}/dead-letters`,
		alert_above: 1,
	};
	const alerts = () => sink.on('/dead-letters').map(({ json }) => json.text);
	const bury = (count) =>
		aws.sqs('SendMessageBatch', {
			QueueUrl: dlqUrl,
			Entries: Array.from({ length: count }, (_, index) => ({
				Id: String(index),
				MessageBody: JSON.stringify({ id: `buried-${Date.now()}-${index}`, tool: 'summarize', input: { text: 'One. Two.' } }),
			})),
		});
	await aws.sqs('PurgeQueue', { QueueUrl: dlqUrl });
	const id = await deploy(n8n, 'watch-dead-letters', { config, credentials: await stage.credentials(), edit: soon });
	const looks = async (count) => {
		const before = (await n8n.executions(id)).length;
		await until('it has looked again', async () => (await n8n.executions(id)).length >= before + count, { everyMs: 500 });
	};

	await check('no alert at or below the threshold', async () => {
		await bury(1);
		await looks(2);
		same(alerts(), [], 'alerts');
	});
	await check('an alert with the count when it rises above, once', async () => {
		await bury(3);
		await until('it is told', () => alerts().length > 0);
		await looks(2);
		same(alerts().length, 1, 'alerts');
		holds(alerts()[0].startsWith('4 dead letters wait in '), `the count of 4, found ${alerts()[0]}`);
	});
	await check('an alert when the queue cannot be read', async () => {
		proxy.state.rule = ({ headers }) => (headers['x-amz-target']?.endsWith('GetQueueAttributes') ? { status: 403, body: { message: 'no' } } : undefined);
		await until('it is told', () => alerts().some((text) => text.startsWith("The queue of dead letters can't be read")));
		proxy.state.rule = undefined;
	});
	await check('a replay that SQS does not start is answered 502 with the reason', async () => {
		const { status, json } = await n8n.post('mcp-batch/replay', {}, { headers: HEADER });
		same(status, 502, 'status');
		holds(json.reason, 'a reason');
	});
	await check('a replay by webhook: 202, and the letters are run (StartMessageMoveTask by a stand-in)', async () => {
		proxy.state.rule = (request) => moveTask(request, dlqUrl, queueUrl);
		try {
			const { status, json } = await n8n.post('mcp-batch/replay', {}, { headers: HEADER });
			same([status, json.started], [202, true], 'answer');
		} finally {
			proxy.state.rule = undefined;
		}
		await aws.drained(dlqUrl);
		await aws.drained(queueUrl);
	});
	await check('nobody replays without the header’s secret', async () => {
		same((await n8n.post('mcp-batch/replay', {})).status, 403, 'status');
	});
	await n8n.unpublish(id);
	await sleep(500);
}

// No loopback AWS has it: moves the letters as SQS would.
async function moveTask({ headers, body }, from, to) {
	if (!headers['x-amz-target']?.endsWith('StartMessageMoveTask')) return undefined;
	const { SourceArn, MaxNumberOfMessagesPerSecond } = JSON.parse(body);
	holds(SourceArn.endsWith('-dlq') && MaxNumberOfMessagesPerSecond > 0, 'the ARN and a pace');
	for (;;) {
		const { Messages = [] } = await aws.sqs('ReceiveMessage', { QueueUrl: from, MaxNumberOfMessages: 10 });
		if (Messages.length === 0) return { status: 200, body: { TaskHandle: 'a-task' } };
		for (const { Body, ReceiptHandle } of Messages) {
			await aws.sqs('SendMessage', { QueueUrl: to, MessageBody: Body });
			await aws.sqs('DeleteMessage', { QueueUrl: from, ReceiptHandle });
		}
	}
}
