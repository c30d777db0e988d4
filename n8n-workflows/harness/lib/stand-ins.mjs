// Stand-ins for what the workflows talk to, beside n8n, mcp-batch and the loopback AWS.
import { serve } from './server.mjs';
import { until } from './wait.mjs';

/** Takes whatever is posted to it, and remembers it. */
export async function startSink() {
	const posts = [];
	const server = await serve(({ url, headers, body }) => {
		posts.push({ path: url, headers, json: jsonOr(body) });
		return { status: 200, body: {} };
	});
	return { ...server, posts, on: (path) => posts.filter((post) => post.path === path) };
}

/** An OpenAI-compatible API. It counts its calls; to an agent that offers tools it answers by calling one. */
export async function startLlm() {
	const state = { calls: 0, agentCalls: 0, isDown: false, isHeld: false, wantedTool: 'classify' };
	const server = await serve(async ({ url, body }) => {
		if (!url.endsWith('/chat/completions')) return { status: 404, body: {} };
		if (state.isDown) return { status: 503, body: { error: { message: 'down on purpose' } } };
		const { messages, tools, model } = JSON.parse(body);
		const asked = messages.at(-1);
		await until('the LLM is let go', () => !state.isHeld);
		if (tools && asked.role !== 'tool') return { status: 200, body: completion(model, callOf(tools, state.wantedTool, state.wantedArguments)) };
		if (asked.role === 'tool') {
			state.agentCalls += 1;
			return { status: 200, body: completion(model, { content: `The tool says: ${textOf(asked.content)}` }) };
		}
		state.calls += 1;
		if (textOf(asked.content).includes('refuse-me')) return { status: 400, body: { error: { message: 'refused on purpose' } } };
		return { status: 200, body: completion(model, { content: answerTo(textOf(asked.content)) }) };
	});
	return { ...server, url: `${server.url}/v1`, state };
}

// The prompt of `classify` lists the categories; any other prompt gets a sentence back.
function answerTo(prompt) {
	return /categor/i.test(prompt) && prompt.includes('billing') ? 'billing' : `A short answer of ${prompt.length} characters.`;
}

function textOf(content) {
	return typeof content === 'string' ? content : content.map(({ text }) => text ?? '').join('');
}

function callOf(tools, wanted, given) {
	const tool = tools.find((candidate) => candidate.function.name.endsWith(wanted)) ?? tools[0];
	const args = given ?? { text: 'I was charged twice.', categories: ['billing', 'bug'] };
	const call = { id: 'call_1', type: 'function', function: { name: tool.function.name, arguments: JSON.stringify(args) } };
	return { content: null, tool_calls: [call] };
}

function completion(model, message) {
	const finish_reason = message.tool_calls ? 'tool_calls' : 'stop';
	return {
		id: 'chatcmpl-1',
		object: 'chat.completion',
		created: Math.floor(Date.now() / 1000),
		model,
		choices: [{ index: 0, message: { role: 'assistant', ...message }, finish_reason }],
		usage: { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 },
	};
}

/**
 * A proxy in front of an HTTP server. `rule(request)` may answer in its place; what passes is remembered in
 * `passed` with its status.
 */
export async function startProxy(upstreamOf) {
	const state = { rule: undefined, passed: [] };
	const server = await serve(async (request) => {
		const own = await state.rule?.(request);
		if (own) return own;
		const { method, url, headers, body } = request;
		const { host, connection, 'content-length': length, 'transfer-encoding': encoding, expect, ...kept } = headers;
		const answer = await fetch(upstreamOf() + url, {
			method,
			headers: kept,
			body: method === 'GET' ? undefined : body,
			redirect: 'manual',
		});
		const text = Buffer.from(await answer.arrayBuffer());
		state.passed.push({ method, path: url.split('?')[0], status: answer.status });
		return { status: answer.status, headers: { 'content-type': answer.headers.get('content-type') ?? 'text/plain' }, body: text };
	});
	return { ...server, state };
}

function jsonOr(body) {
	try {
		return JSON.parse(body);
	} catch {
		return String(body);
	}
}
