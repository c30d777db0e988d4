// `mcp-batch serve`: the whole product on one machine.
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { freePort, run, start } from './process.mjs';
import { until } from './wait.mjs';

/** Starts it on a fresh SQLite file; nothing where this mcp-batch has no `serve`. */
export async function startServe(binary, folder, env) {
	const { code } = await run(binary, ['serve', '--help']);
	if (code !== 0) return undefined;
	const port = await freePort();
	const url = `http://127.0.0.1:${port}`;
	const args = ['serve', '--listen', `127.0.0.1:${port}`, '--db', join(folder, 'serve.db')];
	const server = start(binary, args, { log: join(folder, 'serve.log'), env: { MCP_BATCH_LOG: 'info', ...env } });
	await until('mcp-batch serve is ready', async () => {
		if (!server.isRunning()) throw new Error(`mcp-batch serve ended; ${server.log} says why`);
		return (await fetch(`${url}/readyz`).catch(() => undefined))?.ok;
	});
	return { ...server, url };
}

/** Sends jobs to it. */
export async function send(url, jobs) {
	const answer = await fetch(`${url}/v1/jobs`, {
		method: 'POST',
		headers: { 'content-type': 'application/json' },
		body: JSON.stringify(jobs),
	});
	if (answer.status !== 202) throw new Error(`mcp-batch serve: ${answer.status} ${await answer.text()}`);
}

/** Waits until nothing is left in its queue. */
export async function isIdle(folder) {
	const database = new DatabaseSync(join(folder, 'serve.db'), { readOnly: true });
	await until('the queue is empty', () => database.prepare('SELECT count(*) AS left FROM messages').get().left === 0);
	database.close();
}
