// The nodes that the workflows are made of, each with the settings it always has here.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { uuid5 } from './workflow.mjs';

/** The one node a person fills in: `[name, value]` pairs, then fields that come along from the input. */
export function config(at, fields) {
	return {
		type: 'set',
		version: 3.4,
		at,
		parameters: {
			assignments: {
				assignments: Object.entries(fields).map(([name, value]) => ({
					id: uuid5(`config/${name}`),
					name,
					value,
					type: typeof value,
				})),
			},
			options: {},
		},
		notesInFlow: true,
		notes: 'Fill this in',
	};
}

/** Code from `code/`: several files are joined, shared ones first. */
export function code(at, files, settings = {}) {
	const { each = false, ...rest } = settings;
	return {
		type: 'code',
		version: 2,
		at,
		parameters: { ...(each ? { mode: 'runOnceForEachItem' } : {}), jsCode: files.map(source).join('\n') },
		...rest,
	};
}

function source(file) {
	return readFileSync(join(import.meta.dirname, 'code', `${file}.js`), 'utf8').trimEnd();
}

/** A webhook that wants a header's secret and is answered by a node of the workflow. */
export function webhook(at, path) {
	return {
		type: 'webhook',
		version: 2,
		at,
		parameters: {
			httpMethod: 'POST',
			path: `mcp-batch/${path}`,
			authentication: 'headerAuth',
			responseMode: 'responseNode',
			options: {},
		},
	};
}

/** Answers the webhook: `body` is an expression. */
export function respond(at, status, body) {
	return {
		type: 'respondToWebhook',
		version: 1.1,
		at,
		parameters: { respondWith: 'json', responseBody: `={{ ${body} }}`, options: { responseCode: status } },
	};
}

/** Two ways: output 0 where `expression` is true, else output 1. */
export function when(at, expression) {
	return { type: 'if', version: 2.2, at, parameters: { conditions: isTrue(expression), options: {} } };
}

/** As many ways as there are `cases`, `[name, expression]`, and one more for the rest. */
export function ways(at, cases, rest) {
	return {
		type: 'switch',
		version: 3.2,
		at,
		parameters: {
			rules: {
				values: cases.map(([name, expression]) => ({
					conditions: isTrue(expression),
					renameOutput: true,
					outputKey: name,
				})),
			},
			options: { fallbackOutput: 'extra', renameFallbackOutput: rest },
		},
	};
}

function isTrue(expression) {
	return {
		options: { caseSensitive: true, leftValue: '', typeValidation: 'strict', version: 2 },
		conditions: [
			{
				id: uuid5(`condition/${expression}`),
				leftValue: `={{ ${expression} }}`,
				rightValue: '',
				operator: { type: 'boolean', operation: 'true', singleValue: true },
			},
		],
		combinator: 'and',
	};
}

const RETRIED = { retryOnFail: true, maxTries: 3, waitBetweenTries: 1000 };

/**
 * One action of SQS, as the JSON protocol has it: `body` is an expression, `queue` the field of
 * Config with the address of a queue: its host decides region and signature.
 */
export function sqs(at, action, body, { queue = 'queue_url', ...settings } = {}) {
	return {
		type: 'httpRequest',
		version: 4.2,
		at,
		parameters: {
			method: 'POST',
			url: `={{ $('Config').first().json.${queue}.split('/').slice(0, 3).join('/') + '/' }}`,
			authentication: 'predefinedCredentialType',
			nodeCredentialType: 'aws',
			sendHeaders: true,
			headerParameters: {
				parameters: [
					{ name: 'X-Amz-Target', value: `AmazonSQS.${action}` },
					{ name: 'Content-Type', value: 'application/x-amz-json-1.0' },
				],
			},
			sendBody: true,
			specifyBody: 'json',
			jsonBody: `={{ ${body} }}`,
			options: {
				batching: { batch: { batchSize: 10, batchInterval: 0 } },
				response: { response: { responseFormat: 'json' } },
				timeout: 20000,
			},
		},
		...RETRIED,
		onError: 'continueRegularOutput',
		...settings,
	};
}

/** One route of mcp-batch's own HTTP face. Its answer comes with status and headers, whatever the status. */
export function api(at, method, route, { body, headers = {}, options = {}, ...settings } = {}) {
	const parameters = Object.entries(headers).map(([name, value]) => ({ name, value }));
	return {
		type: 'httpRequest',
		version: 4.2,
		at,
		parameters: {
			...(method === 'GET' ? {} : { method }),
			url: `={{ $('Config').first().json.api_url }}${route}`,
			authentication: 'genericCredentialType',
			genericAuthType: 'httpBearerAuth',
			...(parameters.length > 0 ? { sendHeaders: true, headerParameters: { parameters } } : {}),
			...(body ? { sendBody: true, specifyBody: 'json', jsonBody: `={{ ${body} }}` } : {}),
			options: {
				response: { response: { fullResponse: true, neverError: true, responseFormat: 'json' } },
				timeout: 35000,
				...options,
			},
		},
		...RETRIED,
		onError: 'continueRegularOutput',
		...settings,
	};
}

/** Tells a person: a POST of `{"text": …}`, as Slack, Mattermost and many others take it. */
export function alert(at, text) {
	return {
		type: 'httpRequest',
		version: 4.2,
		at,
		parameters: {
			method: 'POST',
			url: "={{ $('Config').first().json.alert_url }}",
			sendBody: true,
			specifyBody: 'json',
			jsonBody: `={{ JSON.stringify({ text: ${text} }) }}`,
			options: { timeout: 20000 },
		},
		...RETRIED,
	};
}

/** The columns of the Data Table, with their types. */
export const COLUMNS = {
	key: 'string',
	tool: 'string',
	input: 'string',
	model: 'string',
	status: 'string',
	job_id: 'string',
	result: 'string',
	error_class: 'string',
	error_message: 'string',
	cost_usd: 'number',
	finished_at: 'string',
	webhook_id: 'string',
	webhook_timestamp: 'number',
};

const TABLE = { __rl: true, mode: 'name', value: "={{ $('Config').first().json.table }}" };

/** Makes the table of jobs, if there is none. */
export function makeTable(at) {
	const column = Object.entries(COLUMNS).map(([name, type]) => (type === 'string' ? { name } : { name, type }));
	return {
		type: 'dataTable',
		version: 1,
		at,
		parameters: {
			resource: 'table',
			operation: 'create',
			tableName: "={{ $('Config').first().json.table }}",
			columns: { column },
			options: {},
		},
	};
}

/** Reads, updates or upserts rows where all `filters` hold; `columns` maps names to expressions. */
export function rows(at, operation, filters, columns, settings = {}) {
	const { limit, ...rest } = settings;
	const conditions = Object.entries(filters).map(([keyName, keyValue]) => ({ keyName, keyValue }));
	return {
		type: 'dataTable',
		version: 1,
		at,
		parameters: {
			operation,
			dataTableId: TABLE,
			matchType: 'allConditions',
			filters: { conditions },
			...(columns ? { columns: mapping(columns) } : {}),
			...(limit ? { limit } : {}),
			...(columns ? { options: {} } : {}),
		},
		...rest,
	};
}

function mapping(columns) {
	return {
		mappingMode: 'defineBelow',
		value: columns,
		matchingColumns: [],
		schema: Object.keys(columns).map((name) => ({
			id: name,
			displayName: name,
			required: false,
			defaultMatch: false,
			display: true,
			type: COLUMNS[name],
			readOnly: false,
			removed: false,
		})),
		attemptToConvertTypes: false,
		convertFieldsToString: false,
	};
}

/** A place for a person's own nodes. */
export function place(at) {
	return { type: 'noOp', version: 1, at };
}
