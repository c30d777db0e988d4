// Builds ../*.json from the sources beside this file.
//
//   node n8n-workflows/source/build.mjs           writes them
//   node n8n-workflows/source/build.mjs --check   exit code 1 if one of them is not what it would write
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';

const here = import.meta.dirname;
const exports = join(here, '..');

const stale = [];
for (const file of readdirSync(join(here, 'workflows')).sort()) {
	const { default: workflow } = await import(join(here, 'workflows', file));
	const target = join(exports, `${basename(file, '.mjs')}.json`);
	const text = `${JSON.stringify(workflow, null, 2)}\n`;
	if (!process.argv.includes('--check')) writeFileSync(target, text);
	else if (text !== readOr(target, '')) stale.push(target);
}
for (const target of stale) console.error(`${target} is not what its source makes: run build.mjs`);
process.exitCode = stale.length > 0 ? 1 : 0;

function readOr(path, otherwise) {
	try {
		return readFileSync(path, 'utf8');
	} catch {
		return otherwise;
	}
}
