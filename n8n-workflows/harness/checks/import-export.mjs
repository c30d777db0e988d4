// Every file goes into a fresh n8n without a warning, and comes out as it went in.
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { FOLDER, files, load } from '../lib/exports.mjs';
import { cli, dataFolder } from '../lib/n8n.mjs';
import { check, holds, same } from '../lib/report.mjs';

// Ids and dates of the instance, whose it is there, and what it only counts.
const OF_THE_INSTANCE = [
	'id',
	'createdAt',
	'updatedAt',
	'versionId',
	'activeVersionId',
	'activeVersion',
	'versionCounter',
	'triggerCount',
	'shared',
	'parentFolder',
	'parentFolderId',
	'sourceWorkflowId',
	'versionMetadata',
];

export default async function ({ folder }) {
	const data = dataFolder(folder);
	// The first command on an empty folder tells of its migrations.
	await cli(data, 'list:workflow');
	for (const file of files()) {
		await check(`import:workflow takes ${file} without a warning`, async () => {
			const { code, output } = await cli(data, 'import:workflow', `--input=${join(FOLDER, file)}`);
			same(code, 0, 'exit code');
			const lines = output.split('\n').filter((line) => line.trim() && !/^(Importing 1 workflows|Successfully imported 1 workflow)/.test(line));
			same(lines, [], 'lines beyond the two that report success');
		});
	}
	const out = join(folder, 'exported');
	mkdirSync(out);
	await cli(data, 'export:workflow', '--all', '--separate', `--output=${out}/`);
	const exported = readdirSync(out).map((name) => JSON.parse(readFileSync(join(out, name), 'utf8')));
	for (const file of files()) {
		await check(`${file} is exported as it was imported`, () => {
			const workflow = load(file.replace('.json', ''));
			const again = exported.find(({ name }) => name === workflow.name);
			holds(again, `an export named ${workflow.name}`);
			same(Object.keys(strip(again)).sort(), Object.keys(strip(workflow)).sort(), 'fields');
			for (const [field, value] of Object.entries(strip(workflow))) same(again[field], value, field);
		});
	}
}

function strip(workflow) {
	return Object.fromEntries(Object.entries(workflow).filter(([field]) => !OF_THE_INSTANCE.includes(field)));
}
