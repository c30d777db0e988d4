// The loopback AWS: a queue, its dead letters, a table, and the worker that polls.
import { join } from 'node:path';
import { freePort, start } from './process.mjs';
import { until } from './wait.mjs';

const ENDPOINT = process.env.MCP_BATCH_TEST_AWS_ENDPOINT;

/** The environment with which mcp-batch finds the loopback AWS. */
const AWS = { AWS_ENDPOINT_URL: ENDPOINT, AWS_REGION: 'us-east-1', AWS_ACCESS_KEY_ID: 'test', AWS_SECRET_ACCESS_KEY: 'test' };

/** Whether there is a loopback AWS. */
export const isThere = () => Boolean(ENDPOINT);
export const endpoint = () => ENDPOINT;

/** One action of one service, as the JSON protocols have it. */
export async function call(target, body, version = '1.0') {
	const answer = await fetch(`${ENDPOINT}/`, {
		method: 'POST',
		headers: {
			'content-type': `application/x-amz-json-${version}`,
			'x-amz-target': target,
			// Which service is meant is read from the scope; the signature itself is not checked.
			authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/${target.startsWith('Dynamo') ? 'dynamodb' : 'sqs'}/aws4_request, SignedHeaders=host, Signature=0`,
		},
		body: JSON.stringify(body),
	});
	const text = await answer.text();
	if (!answer.ok) throw new Error(`${target}: ${answer.status} ${text}`);
	return text ? JSON.parse(text) : {};
}

export const sqs = (action, body) => call(`AmazonSQS.${action}`, body);

/** A queue, its dead letters and a table, with names nobody else has. */
export async function makeWorld(name) {
	const unique = `${name}-${process.pid}-${Date.now()}`;
	const { QueueUrl: dlqUrl } = await sqs('CreateQueue', { QueueName: `${unique}-dlq` });
	const { QueueUrl: queueUrl } = await sqs('CreateQueue', { QueueName: unique });
	await call('DynamoDB_20120810.CreateTable', {
		TableName: unique,
		KeySchema: [{ AttributeName: 'pk', KeyType: 'HASH' }],
		AttributeDefinitions: [{ AttributeName: 'pk', AttributeType: 'S' }],
		BillingMode: 'PAY_PER_REQUEST',
	});
	return { queueUrl, dlqUrl, dlqArn: `arn:aws:sqs:us-east-1:000000000000:${unique}-dlq`, table: unique };
}

/** `mcp-batch poll` on that queue. */
export async function startPoll(binary, folder, { queueUrl, dlqUrl, table }, env) {
	const health = await freePort();
	const args = ['poll', '--health', `127.0.0.1:${health}`, '--visibility-timeout-s', '6'];
	const worker = start(binary, args, {
		log: join(folder, 'poll.log'),
		env: { ...AWS, MCP_BATCH_QUEUE_URL: queueUrl, MCP_BATCH_DLQ_URL: dlqUrl, MCP_BATCH_TABLE: table, MCP_BATCH_LOG: 'info', ...env },
	});
	await until('mcp-batch poll is healthy', async () => {
		if (!worker.isRunning()) throw new Error(`mcp-batch poll ended; ${worker.log} says why`);
		return (await fetch(`http://127.0.0.1:${health}/healthz`).catch(() => undefined))?.ok;
	});
	return worker;
}

/** Sends jobs to a queue, ten at a time. */
export async function send(QueueUrl, jobs) {
	for (let from = 0; from < jobs.length; from += 10) {
		const Entries = jobs.slice(from, from + 10).map((job, index) => ({ Id: String(index), MessageBody: JSON.stringify(job) }));
		const { Failed = [] } = await sqs('SendMessageBatch', { QueueUrl, Entries });
		if (Failed.length > 0) throw new Error(`SQS refused ${JSON.stringify(Failed)}`);
	}
}

/** Waits until a queue is empty, what is in flight and what is delayed included. */
export async function drained(QueueUrl) {
	const AttributeNames = ['', 'NotVisible', 'Delayed'].map((which) => `ApproximateNumberOfMessages${which}`);
	await until('the queue is empty', async () => {
		const { Attributes } = await sqs('GetQueueAttributes', { QueueUrl, AttributeNames });
		return Object.values(Attributes).every((count) => Number(count) === 0);
	});
}
