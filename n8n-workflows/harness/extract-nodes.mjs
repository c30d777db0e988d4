// Writes what the lint has to know of the nodes that the workflows use: n8n-workflows/lint/nodes.json.
//
//   scripts/n8n node n8n-workflows/harness/extract-nodes.mjs [--check]
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { files, load } from './lib/exports.mjs';

const MODULES = join(process.env.N8N_INSTALL, 'node_modules');
const TARGET = join(import.meta.dirname, '..', 'lint', 'nodes.json');
const PACKAGES = { 'n8n-nodes-base': 'n8n-nodes-base', '@n8n/n8n-nodes-langchain': '@n8n/n8n-nodes-langchain' };
const NOT_A_PARAMETER = new Set(['notice', 'callout', 'curlImport', 'credentials']);

const read = (...path) => JSON.parse(readFileSync(join(MODULES, ...path), 'utf8'));
const types = Object.fromEntries(Object.entries(PACKAGES).map(([name, folder]) => [name, read(folder, 'dist/types/nodes.json')]));

const used = new Set(files().flatMap((file) => load(file.replace('.json', '')).nodes.map(({ type, typeVersion }) => `${type}@${typeVersion}`)));
const nodes = Object.fromEntries([...used].sort().map((name) => [name, describe(name)]));
const lines = Object.entries(nodes).map(([name, node]) => `${JSON.stringify(name)}: ${JSON.stringify(node)}`);
const text = `{"n8n": ${JSON.stringify(read('n8n', 'package.json').version)}, "nodes": {\n${lines.join(',\n')}\n}}\n`;

if (!process.argv.includes('--check')) writeFileSync(TARGET, text);
else if (readFileSync(TARGET, 'utf8') !== text) {
	console.error(`${TARGET} is not what the pinned n8n says: run extract-nodes.mjs`);
	process.exitCode = 1;
}

function describe(name) {
	const [, pack, short, version] = name.match(/^(.*)\.([^.]+)@([\d.]+)$/);
	const found = types[pack].find((type) => type.name === short && [type.version].flat().includes(Number(version)));
	if (!found) throw new Error(`${name} is not in the pinned n8n`);
	return {
		// Where they depend on parameters they are an expression.
		outputs: Array.isArray(found.outputs) ? found.outputs.length : null,
		properties: found.properties.filter(({ type }) => !NOT_A_PARAMETER.has(type)).map(property),
	};
}

function property({ name, type, default: standard, required, displayOptions, options, typeOptions }) {
	return {
		name,
		type,
		...(JSON.stringify(standard)?.length < 80 ? { default: standard } : {}),
		...(required ? { required } : {}),
		...(displayOptions ? { displayOptions } : {}),
		...(typeOptions?.multipleValues ? { multiple: true } : {}),
		...optionsOf(type, options),
	};
}

function optionsOf(type, options = []) {
	if (type === 'options' || type === 'multiOptions') return { values: options.map(({ value }) => value) };
	if (type === 'collection') return { fields: options.map(property) };
	if (type === 'fixedCollection') return { groups: options.map(({ name, values }) => ({ name, fields: values.map(property) })) };
	return {};
}
