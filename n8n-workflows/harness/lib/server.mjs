// A small HTTP server on the loopback.
import { createServer } from 'node:http';
import { once } from 'node:events';

/** Starts one; `handle({method, url, headers, body})` returns `{status, headers?, body}`. */
export async function serve(handle) {
	const server = createServer(async (request, response) => {
		const chunks = [];
		for await (const chunk of request) chunks.push(chunk);
		const { method, url, headers } = request;
		let answer;
		try {
			answer = await handle({ method, url, headers, body: Buffer.concat(chunks) });
		} catch (error) {
			answer = { status: 502, body: String(error) };
		}
		const body = typeof answer.body === 'string' || Buffer.isBuffer(answer.body) ? answer.body : JSON.stringify(answer.body ?? {});
		response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers });
		response.end(body);
	});
	server.keepAliveTimeout = 60_000;
	server.listen(0, '127.0.0.1');
	await once(server, 'listening');
	return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}
