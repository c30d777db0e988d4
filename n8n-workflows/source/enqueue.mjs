// What every workflow that sends jobs has in common: where they go is one word in Config.
import { api, code, config, sqs, webhook, when } from './nodes.mjs';

/** The fields of Config that say where jobs are sent. */
export const WHERE = {
	send_by: 'http',
	api_url: 'http://127.0.0.1:8080',
	queue_url: 'https://sqs.eu-central-1.amazonaws.com/123456789012/mcp-batch-jobs',
};

/** Both ways of sending what `Pack requests` made, from column `column` on; `read` are the files that read the answers. */
export function sendNodes(column, row, pack, read) {
	return {
		'Pack requests': code([column, row], pack),
		'To SQS?': when([column + 1, row], "$('Config').first().json.send_by === 'sqs'"),
		'Send to SQS': sqs([column + 2, row - 0.5], 'SendMessageBatch', '$json.payload'),
		'Send to mcp-batch': api([column + 2, row + 0.5], 'POST', '/v1/jobs', {
			body: '$json.payload',
			options: { batching: { batch: { batchSize: 2, batchInterval: 0 } } },
		}),
		'Read the answers': code([column + 3, row], read),
	};
}

export const SEND_LINKS = [
	['Pack requests', 'To SQS?'],
	['To SQS?', 0, 'Send to SQS'],
	['To SQS?', 1, 'Send to mcp-batch'],
	['Send to SQS', 'Read the answers'],
	['Send to mcp-batch', 'Read the answers'],
];

export const SEND_MEMBERS = ['Pack requests', 'To SQS?', 'Send to SQS', 'Send to mcp-batch', 'Read the answers'];

export const SEND_NOTE = `### Send
Ten jobs a request to SQS, up to a thousand to mcp-batch. Jobs that are sent twice run once.

Disable the **Send** node you do not use.`;

/** The nodes that check jobs from a webhook and name them by content. */
export function checkNodes(path, fields) {
	return {
		'Jobs arrive': webhook([0, 0], path),
		Config: config([1, 0], fields),
		'Check the jobs': code([2, 0], ['check-jobs']),
		'Are they right?': when([3, 0], '$json.ok'),
	};
}

export const CHECK_LINKS = [
	['Jobs arrive', 'Config'],
	['Config', 'Check the jobs'],
	['Check the jobs', 'Are they right?'],
	['Are they right?', 0, 'Pack requests'],
];
