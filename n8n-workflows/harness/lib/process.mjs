// Programs that run beside the harness, and end with it.
import { spawn } from 'node:child_process';
import { createWriteStream, readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';

const reaper = spawn(process.execPath, [join(import.meta.dirname, 'reaper.mjs')], {
	stdio: ['pipe', 'ignore', 'inherit'],
	detached: true,
});
reaper.unref();
reaper.stdin.unref();

/** Starts a program; what it writes goes to the file `log`. */
export function start(command, args, { env, log, cwd }) {
	const child = spawn(command, args, { env: { ...process.env, ...env }, cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
	const output = createWriteStream(log, { flags: 'a' });
	child.stdout.pipe(output, { end: false });
	child.stderr.pipe(output, { end: false });
	reaper.stdin.write(`${child.pid}\n`);
	return {
		pid: child.pid,
		log,
		isRunning: () => child.exitCode === null && child.signalCode === null,
		stop: async (signal = 'SIGTERM') => {
			if (child.exitCode !== null || child.signalCode !== null) return;
			const ended = once(child, 'exit');
			process.kill(-child.pid, signal);
			const timer = setTimeout(() => process.kill(-child.pid, 'SIGKILL'), 30_000);
			await ended;
			clearTimeout(timer);
		},
	};
}

/** Runs a program to its end: its exit code and all it wrote. */
export async function run(command, args, { env, cwd } = {}) {
	const child = spawn(command, args, { env: { ...process.env, ...env }, cwd, stdio: ['ignore', 'pipe', 'pipe'] });
	let output = '';
	child.stdout.on('data', (bytes) => (output += bytes));
	child.stderr.on('data', (bytes) => (output += bytes));
	const [code] = await once(child, 'close');
	return { code, output };
}

/** A port of the loopback that nobody listens on. */
export async function freePort() {
	const server = createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address();
	server.close();
	await once(server, 'close');
	return port;
}

/** The greatest and the present memory of a process and those it started, in MiB. */
export function memory(pid) {
	const [now, peak] = ['VmRSS', 'VmHWM'].map((field) => statusField(pid, field));
	return { now, peak };
}

function statusField(pid, field) {
	const status = readFileSync(`/proc/${pid}/status`, 'utf8');
	return Math.round(Number(status.match(new RegExp(`${field}:\\s+(\\d+)`))[1]) / 1024);
}
