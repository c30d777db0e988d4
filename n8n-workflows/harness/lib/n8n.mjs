// A real n8n without a screen: its command line, and one that runs.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, memory, run, start } from './process.mjs';
import { until } from './wait.mjs';

const INSTALL = process.env.N8N_INSTALL;
const NODE = join(INSTALL, 'node_modules/node/bin/node');
const CLI = join(INSTALL, 'node_modules/n8n/bin/n8n');
const OWNER = { email: 'owner@example.com', firstName: 'Test', lastName: 'Owner', password: 'Only-4-tests' };
const SCOPES = [
	...['create', 'read', 'list', 'update', 'delete', 'activate', 'deactivate'].map((verb) => `workflow:${verb}`),
	...['create', 'list', 'delete'].map((verb) => `credential:${verb}`),
	...['list', 'read', 'delete'].map((verb) => `execution:${verb}`),
	...['create', 'list', 'read'].map((verb) => `dataTable:${verb}`),
	...['create', 'read'].map((verb) => `dataTableRow:${verb}`),
];

/** The environment that every n8n of the harness has. */
function settings(folder, extra = {}) {
	return {
		N8N_USER_FOLDER: folder,
		N8N_ENCRYPTION_KEY: '0123456789abcdef0123456789abcdef',
		DB_TYPE: 'sqlite',
		N8N_HOST: '127.0.0.1',
		N8N_LISTEN_ADDRESS: '127.0.0.1',
		N8N_RUNNERS_BROKER_LISTEN_ADDRESS: '127.0.0.1',
		N8N_SECURE_COOKIE: 'false',
		GENERIC_TIMEZONE: 'UTC',
		TZ: 'UTC',
		N8N_DIAGNOSTICS_ENABLED: 'false',
		N8N_VERSION_NOTIFICATIONS_ENABLED: 'false',
		N8N_TEMPLATES_ENABLED: 'false',
		N8N_PERSONALIZATION_ENABLED: 'false',
		N8N_COMMUNITY_PACKAGES_ENABLED: 'false',
		N8N_HIRING_BANNER_ENABLED: 'false',
		N8N_LICENSE_AUTO_RENEW_ENABLED: 'false',
		N8N_ENFORCE_SETTINGS_FILE_PERMISSIONS: 'true',
		N8N_RUNNERS_TASK_TIMEOUT: '300',
		EXTERNAL_FRONTEND_HOOKS_URLS: '',
		N8N_DIAGNOSTICS_CONFIG_FRONTEND: '',
		N8N_DIAGNOSTICS_CONFIG_BACKEND: '',
		N8N_LOG_LEVEL: 'warn',
		NO_COLOR: '1',
		// The first calls out of the machine at every start.
		N8N_DISABLED_MODULES: 'insights,mcp-registry,instance-ai,chat-hub,agents',
		...extra,
	};
}

/** Runs one command of n8n's own command line on the data in `folder`. */
export function cli(folder, ...args) {
	return run(NODE, [CLI, ...args], { env: settings(folder) });
}

/** A folder for n8n's data under `parent`. */
export function dataFolder(parent) {
	return mkdtempSync(join(parent, 'n8n-data-'));
}

export class N8n {
	#parent;
	#process;
	#cookie;
	#key;
	#environment;

	/** An n8n on an empty folder under `parent`; `publicUrl` is where the world reaches its webhooks. */
	static async start(parent, publicUrl, extra = {}) {
		const n8n = new N8n();
		n8n.#parent = parent;
		n8n.folder = dataFolder(parent);
		n8n.port = await freePort();
		const broker = await freePort();
		n8n.url = `http://127.0.0.1:${n8n.port}`;
		const world = publicUrl ?? n8n.url;
		n8n.#environment = settings(n8n.folder, {
			N8N_PORT: String(n8n.port),
			N8N_RUNNERS_BROKER_PORT: String(broker),
			WEBHOOK_URL: `${world}/`,
			N8N_WEBHOOK_URL: `${world}/`,
			...extra,
		});
		await n8n.#up();
		await n8n.#setUpOwner();
		return n8n;
	}

	async #up() {
		this.#process = start(NODE, [CLI, 'start'], { env: this.#environment, log: join(this.#parent, 'n8n.log') });
		await until('n8n is ready', async () => {
			if (!this.#process.isRunning()) throw new Error(`n8n ended:\n${readFileSync(this.#process.log, 'utf8').slice(-2000)}`);
			// While it starts, it answers everything with 200 and a sentence.
			const answer = await fetch(`${this.url}/rest/settings`).catch(() => undefined);
			return answer?.ok && jsonOr(await answer.text()).data;
		});
	}

	/** Stops it as a deployment would, and starts it again on the same data. */
	async restart(signal = 'SIGTERM') {
		await this.#process.stop(signal);
		await this.#up();
	}

	async stop() {
		await this.#process.stop();
		rmSync(this.folder, { recursive: true, force: true });
	}

	/** Memory of the main process in MiB: now, and the peak. */
	memory() {
		return memory(this.#process.pid);
	}

	async #setUpOwner() {
		const answer = await fetch(`${this.url}/rest/owner/setup`, json('POST', OWNER));
		if (!answer.ok) throw new Error(`no owner: ${answer.status} ${await answer.text()}`);
		this.#cookie = answer.headers.getSetCookie().map((cookie) => cookie.split(';')[0]).join('; ');
		const expiresAt = Math.floor(Date.now() / 1000) + 86_400;
		const key = await this.rest('POST', '/api-keys', { label: 'harness', expiresAt, scopes: SCOPES });
		this.#key = key.data.rawApiKey;
	}

	/** The cookie of the owner's session. */
	get cookie() {
		return this.#cookie;
	}

	/** The internal API, as the editor uses it. */
	async rest(method, path, body) {
		return answerOf(await fetch(`${this.url}/rest${path}`, json(method, body, { cookie: this.#cookie, 'browser-id': 'harness' })));
	}

	/** The public API. */
	async api(method, path, body) {
		return answerOf(await fetch(`${this.url}/api/v1${path}`, json(method, body, { 'x-n8n-api-key': this.#key })));
	}

	/** Makes a credential, and returns how a node refers to it. */
	async credential(type, name, data) {
		const { id } = await this.api('POST', '/credentials', { name, type, data });
		return { [type]: { id, name } };
	}

	/** Creates a workflow and returns its id. */
	async create({ name, nodes, connections, settings: own }) {
		const { id } = await this.api('POST', '/workflows', { name, nodes, connections, settings: own });
		return id;
	}

	/** Publishes a workflow: its triggers are at work a moment later. */
	async publish(id) {
		await this.api('POST', `/workflows/${id}/activate`, {});
	}

	async unpublish(id) {
		await this.api('POST', `/workflows/${id}/deactivate`, {});
	}

	/** Posts to a production webhook, waiting for one that was just published. */
	async post(path, body, { headers = {}, raw } = {}) {
		return until(
			`the webhook ${path} is there`,
			async () => {
				const answer = await fetch(`${this.url}/webhook/${path}`, {
					method: 'POST',
					headers: { 'content-type': 'application/json', ...headers },
					body: raw ?? JSON.stringify(body),
				});
				const text = await answer.text();
				return answer.status === 404 ? undefined : { status: answer.status, text, json: jsonOr(text) };
			},
			{ patienceMs: 30_000 },
		);
	}

	/** Executes a workflow from one of its triggers, as the editor's button does. */
	async runByHand(id, trigger) {
		const { data } = await this.rest('GET', `/workflows/${id}`);
		return this.rest('POST', `/workflows/${id}/run`, { workflowData: data, startNodes: [], triggerToStartFrom: { name: trigger } });
	}

	/** The executions of a workflow, newest first. */
	async executions(workflowId, { withData = false, limit = 100 } = {}) {
		const found = [];
		let cursor = '';
		do {
			const page = await this.api('GET', `/executions?workflowId=${workflowId}&limit=${limit}&includeData=${withData}${cursor && `&cursor=${cursor}`}`);
			found.push(...page.data);
			cursor = page.nextCursor ?? '';
		} while (cursor);
		return found;
	}

	/** The one execution of a workflow with this id, with its data. */
	async execution(id) {
		return this.api('GET', `/executions/${id}?includeData=true`);
	}

	async createTable(name, columns) {
		const { id } = await this.api('POST', '/data-tables', { name, columns: Object.entries(columns).map(([column, type]) => ({ name: column, type })) });
		return id;
	}

	async tableId(name) {
		const { data } = await this.api('GET', '/data-tables?limit=100');
		return data.find((table) => table.name === name)?.id;
	}

	async addRows(tableId, data) {
		return this.api('POST', `/data-tables/${tableId}/rows`, { data });
	}

	async rows(tableId) {
		const found = [];
		let cursor = '';
		do {
			const page = await this.api('GET', `/data-tables/${tableId}/rows?limit=250${cursor && `&cursor=${cursor}`}`);
			found.push(...page.data);
			cursor = page.nextCursor ?? '';
		} while (cursor);
		return found;
	}
}

/** What a node put out in an execution, over all its runs. */
export function itemsOf(execution, node) {
	const runs = execution.data.resultData.runData[node] ?? [];
	return runs.flatMap((run) => (run.data?.main ?? []).flat()).filter(Boolean).map((item) => item.json);
}

/** How many times a node ran in an execution. */
export function runsOf(execution, node) {
	return (execution.data.resultData.runData[node] ?? []).length;
}

function json(method, body, headers = {}) {
	return {
		method,
		headers: { 'content-type': 'application/json', ...headers },
		body: body === undefined ? undefined : JSON.stringify(body),
	};
}

async function answerOf(answer) {
	const text = await answer.text();
	if (!answer.ok) throw new Error(`n8n: ${answer.url}: ${answer.status} ${text.slice(0, 500)}`);
	return jsonOr(text);
}

function jsonOr(text) {
	try {
		return JSON.parse(text);
	} catch {
		return text;
	}
}

