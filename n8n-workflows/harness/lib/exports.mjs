// The exported workflows, made ready for a test as a person makes them ready for use: Config filled in,
// credentials chosen, the send node that is not used disabled.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

export const FOLDER = join(import.meta.dirname, '..', '..');

/** The names of the exported files. */
export const files = () => readdirSync(FOLDER).filter((name) => name.endsWith('.json')).sort();

/** One of them, as it ships. */
export const load = (file) => JSON.parse(readFileSync(join(FOLDER, `${file}.json`), 'utf8'));

/**
 * Deploys an export to a running n8n, and returns its id.
 *
 * `config` replaces values of the Config node, `credentials` is what `makeCredentials` returned, `edit` may
 * change the workflow further, `errorWorkflow` is an id.
 */
export async function deploy(n8n, file, { config = {}, credentials, edit, errorWorkflow, publish = true, name } = {}) {
	const workflow = load(file);
	if (name) workflow.name = name;
	fillIn(workflow, config);
	for (const node of workflow.nodes) choose(node, credentials);
	const unused = { http: 'Send to SQS', sqs: 'Send to mcp-batch' }[config.send_by];
	for (const node of workflow.nodes) if (node.name === unused) node.disabled = true;
	if (errorWorkflow) workflow.settings.errorWorkflow = errorWorkflow;
	edit?.(workflow);
	const id = await n8n.create(workflow);
	if (publish) await n8n.publish(id);
	return id;
}

/** The credentials that the workflows want, each made once. */
export async function makeCredentials(n8n, { headerSecret, hmacText, bearer, llmUrl }) {
	return {
		...(await n8n.credential('httpHeaderAuth', 'Webhook secret', { name: 'x-webhook-secret', value: headerSecret })),
		...(await n8n.credential('httpBearerAuth', 'mcp-batch key', { token: bearer })),
		...(await n8n.credential('aws', 'AWS', {
			region: 'us-east-1',
			accessKeyId: 'test',
			secretAccessKey: 'test',
			temporaryCredentials: false,
			customEndpoints: false,
		})),
		...(await n8n.credential('crypto', 'Callback secret', { hmacSecret: hmacText })),
		...(await n8n.credential('openAiApi', 'LiteLLM', { apiKey: 'test', url: llmUrl, header: false })),
	};
}

function fillIn(workflow, values) {
	const node = workflow.nodes.find(({ name }) => name === 'Config');
	const { assignments } = node.parameters.assignments;
	for (const [name, value] of Object.entries(values)) {
		const field = assignments.find((assignment) => assignment.name === name);
		if (!field) throw new Error(`${workflow.name}: Config has no ${name}`);
		field.value = value;
	}
}

function choose(node, credentials) {
	const type = credentialOf(node);
	if (type) node.credentials = { [type]: credentials[type] };
}

function credentialOf({ type, parameters }) {
	if (type.endsWith('.lmChatOpenAi')) return 'openAiApi';
	if (type.endsWith('.crypto')) return parameters.action === 'hmac' ? 'crypto' : undefined;
	const byAuthentication = { headerAuth: 'httpHeaderAuth', bearerAuth: 'httpBearerAuth' };
	return parameters.nodeCredentialType ?? parameters.genericAuthType ?? byAuthentication[parameters.authentication];
}

/** A schedule that a test can wait for, and a busy machine can keep. */
export function soon(workflow) {
	const trigger = workflow.nodes.find(({ type }) => type.endsWith('.scheduleTrigger'));
	trigger.parameters.rule = { interval: [{ field: 'seconds', secondsInterval: 15 }] };
}
