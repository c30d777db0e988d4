// A picture of each workflow, from the real editor in a headless Chromium: n8n-workflows/pictures/NAME.png.
//
//   scripts/n8n node n8n-workflows/harness/pictures.mjs [NAME...]
//
// CHROMIUM names the browser, else it is `chromium`.
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Browser } from './lib/browser.mjs';
import { N8n } from './lib/n8n.mjs';

const WORKFLOWS = join(import.meta.dirname, '..');
const PICTURES = join(WORKFLOWS, 'pictures');

const wanted = process.argv.slice(2);
const names = readdirSync(WORKFLOWS)
	.filter((file) => file.endsWith('.json'))
	.map((file) => basename(file, '.json'))
	.filter((name) => wanted.length === 0 || wanted.includes(name));

const folder = mkdtempSync(join(tmpdir(), 'mcp-batch-pictures-'));
const n8n = await N8n.start(folder);
const browser = await Browser.start(folder);
await browser.useCookies(n8n.url, n8n.cookie);
mkdirSync(PICTURES, { recursive: true });
for (const name of names) {
	const workflow = JSON.parse(readFileSync(join(WORKFLOWS, `${name}.json`), 'utf8'));
	const id = await n8n.create(workflow);
	await browser.open(`${n8n.url}/workflow/${id}`);
	await browser.until('the canvas has all nodes', `document.querySelectorAll('.vue-flow__node').length >= ${workflow.nodes.length}`);
	// All of it, as large as the window allows.
	await browser.evaluate(`document.querySelector('[data-test-id="zoom-to-fit"]')?.click()`);
	await browser.until('the canvas is at rest', `!document.querySelector('.vue-flow__viewport').getAnimations().length`);
	writeFileSync(join(PICTURES, `${name}.png`), await browser.picture('.vue-flow__node'));
	console.log(`${name}.png`);
}
await browser.stop();
await n8n.stop();
rmSync(folder, { recursive: true, force: true });
process.exit(0);
