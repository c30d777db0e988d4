// Runs the exported workflows in a real n8n, against mcp-batch and a loopback AWS. Started by scripts/e2e/n8n.
//
//   e2e.mjs [CHECK...]     only these files of checks/, else all of them
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { summary } from './lib/report.mjs';
import { Stage } from './lib/stage.mjs';

const wanted = process.argv.slice(2);
const all = readdirSync(join(import.meta.dirname, 'checks')).map((file) => basename(file, '.mjs')).sort();
const unknown = wanted.filter((name) => !all.includes(name));
if (unknown.length > 0) {
	console.error(`e2e: ${unknown.join(', ')}: expected some of ${all.join(', ')}`);
	process.exit(2);
}

const folder = mkdtempSync(join(tmpdir(), 'mcp-batch-n8n-'));

const stage = new Stage(folder);
try {
	for (const name of wanted.length > 0 ? all.filter((name) => wanted.includes(name)) : all) {
		console.log(`\n${name}`);
		const { default: run } = await import(join(import.meta.dirname, 'checks', `${name}.mjs`));
		await run(stage);
	}
} catch (error) {
	console.error(error);
	process.exitCode = 1;
}
const code = summary();
if (code === 0 && !process.exitCode) rmSync(folder, { recursive: true, force: true });
else console.log(`logs are in ${folder}`);
process.exit(process.exitCode || code);
