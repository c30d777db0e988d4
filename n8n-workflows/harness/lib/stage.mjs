// What the checks play on: one n8n behind a proxy that sees every callback, stand-ins, and mcp-batch in both worlds.
import { join } from 'node:path';
import { N8n } from './n8n.mjs';
import { deploy, makeCredentials } from './exports.mjs';
import { newSecret } from './signature.mjs';
import { startLlm, startProxy, startSink } from './stand-ins.mjs';
import * as aws from './aws.mjs';
import { isIdle, send, startServe } from './serve.mjs';
import { until } from './wait.mjs';

export const HEADER = { 'x-webhook-secret': 'let-me-in' };

export class Stage {
	#made = new Map();

	constructor(folder) {
		this.folder = folder;
		this.binary = join(process.env.MCP_BATCH_BINARIES, 'mcp-batch');
		this.secret = newSecret();
	}

	// Each part is made when a check first asks for it.
	#once(name, make) {
		if (!this.#made.has(name)) this.#made.set(name, make());
		return this.#made.get(name);
	}

	/** Everything that workflows call beside mcp-batch. */
	sink = () => this.#once('sink', startSink);
	llm = () => this.#once('llm', startLlm);

	/** In front of n8n: its webhook addresses are the proxy's, so that it sees each callback and its answer. */
	front = () => this.#once('front', () => startProxy(() => this.n8nUrl));

	n8n = () =>
		this.#once('n8n', async () => {
			const front = await this.front();
			const n8n = await N8n.start(this.folder, front.url);
			this.n8nUrl = n8n.url;
			return n8n;
		});

	credentials = () =>
		this.#once('credentials', async () =>
			makeCredentials(await this.n8n(), {
				headerSecret: HEADER['x-webhook-secret'],
				hmacText: this.secret.text,
				bearer: 'a-key',
				llmUrl: (await this.llm()).url,
			}),
		);

	/** The workflow that receives callbacks, set up and published: its id. */
	receiver = () =>
		this.#once('receiver', async () => {
			const n8n = await this.n8n();
			const id = await deploy(n8n, 'receive-callbacks', { credentials: await this.credentials() });
			await n8n.runByHand(id, 'Set up once');
			await until('the table is made', () => n8n.tableId('mcp_batch_jobs'));
			return id;
		});

	/** Where it listens. */
	callback = async () => `${(await this.front()).url}/webhook/mcp-batch/callback`;

	/** What mcp-batch is told in both worlds. */
	#settings = async () => ({
		MCP_BATCH_LLM_URL: (await this.llm()).url,
		MCP_BATCH_LLM_MODEL: 'fake',
		MCP_BATCH_CALLBACK_SECRETS: this.secret.whsec,
		MCP_BATCH_CALLBACK_HOSTS: '127.0.0.1',
	});

	/** Queue, table and `mcp-batch poll`. */
	aws = () =>
		this.#once('aws', async () => {
			const world = await aws.makeWorld('n8n');
			const worker = await aws.startPoll(this.binary, this.folder, world, await this.#settings());
			return { ...world, worker };
		});

	/** In front of SQS: what n8n sends can be made to fail. */
	sqsProxy = () => this.#once('sqsProxy', () => startProxy(() => aws.endpoint()));

	/** `mcp-batch serve` on its own SQLite file. */
	serve = () => this.#once('serve', async () => startServe(this.binary, this.folder, await this.#settings()));

	/** Sends jobs past n8n. */
	async enqueue({ send_by }, jobs) {
		if (send_by === 'sqs') return aws.send((await this.aws()).queueUrl, jobs);
		return send((await this.serve()).url, jobs);
	}

	/** Waits until nothing is left to do for what was sent. */
	async settled({ send_by }) {
		if (send_by === 'sqs') return aws.drained((await this.aws()).queueUrl);
		return isIdle(this.folder);
	}

	/** The worlds a sender can be tried in, with what Config says in each. */
	async worlds() {
		const worlds = [];
		if (aws.isThere()) {
			const { queueUrl } = await this.aws();
			const { url } = await this.sqsProxy();
			worlds.push({ name: 'SQS', config: { send_by: 'sqs', queue_url: url + new URL(queueUrl).pathname } });
		}
		const serve = await this.serve();
		if (serve) worlds.push({ name: 'serve', config: { send_by: 'http', api_url: serve.url } });
		return worlds;
	}
}
