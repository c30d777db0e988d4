// A workflow as n8n exports it, from what a person has to say about it.
import { createHash } from 'node:crypto';

// Chosen once: ids made from it and a name stay the same for ever, so that diffs stay small.
const NAMESPACE = '5b0a7f4e-2f0c-5d0e-9a53-6d63702d6261';

// The editor's grid: a node with its label fits a cell.
const COLUMN = 240;
const ROW = 220;
const NODE = 96;
const LABEL = 60;
const MARGIN = 60;
const HEADING = 120;
const OVERVIEW = { width: 520, gap: 80 };
const WHITE = 7;

const WITH_WEBHOOK = new Set(['n8n-nodes-base.webhook', 'n8n-nodes-base.wait', 'n8n-nodes-base.formTrigger']);

/**
 * Builds a workflow.
 *
 * `nodes` maps a node's name to `{type, version, at: [column, row], parameters, ...settings}`;
 * `links` lists `[from, to]` or `[from, output, to]`, with `{type}` at the end where it is not the main one;
 * `overview` is the yellow note at the left, `sections` are `[text, [names of nodes]]`: the white notes behind them.
 */
export function workflow({ name, description, nodes, links, overview, sections }) {
	const placed = Object.entries(nodes).map(([nodeName, node]) => placedNode(name, nodeName, node));
	const behind = sections.map(([text, members], index) => section(name, index, text, placed, members));
	return {
		// The command line wants one. It is no instance's: imported again, the workflow is replaced.
		id: uuid5(name).replaceAll('-', '').slice(0, 16),
		name,
		description,
		nodes: [overviewNote(name, overview, placed, behind), ...behind, ...placed],
		connections: connections(links),
		settings: { executionOrder: 'v1' },
		active: false,
		pinData: {},
		tags: [],
		meta: { templateCredsSetupCompleted: false },
		isArchived: false,
		staticData: null,
		nodeGroups: [],
	};
}

function placedNode(workflowName, name, { type, version, at: [column, row], parameters = {}, ...settings }) {
	const fullType = type.includes('.') ? type : `n8n-nodes-base.${type}`;
	return {
		id: uuid5(`${workflowName}/${name}`),
		name,
		type: fullType,
		typeVersion: version,
		position: [column * COLUMN, row * ROW],
		parameters,
		...(WITH_WEBHOOK.has(fullType) ? { webhookId: uuid5(`${workflowName}/${name}/webhook`) } : {}),
		...settings,
	};
}

function section(workflowName, index, text, placed, members) {
	const [left, top, right, bottom] = bounds(
		members.map((member) => {
			const node = placed.find(({ name }) => name === member);
			if (!node) throw new Error(`${workflowName}: a section names ${member}, which is no node`);
			return node.position;
		}),
	);
	return note(workflowName, `Section ${index + 1}`, {
		content: text,
		position: [left - MARGIN, top - HEADING],
		width: right - left + NODE + 2 * MARGIN,
		height: bottom - top + HEADING + NODE + LABEL,
		color: WHITE,
	});
}

function overviewNote(workflowName, text, placed, behind) {
	const [left] = bounds(placed.map(({ position }) => position));
	const top = Math.min(...behind.map(({ position }) => position[1]));
	return note(workflowName, 'Overview', {
		content: text,
		position: [left - MARGIN - OVERVIEW.gap - OVERVIEW.width, top],
		width: OVERVIEW.width,
		height: 160 + 22 * text.split('\n').reduce((sum, line) => sum + Math.ceil((line.length + 1) / 58), 0),
	});
}

function note(workflowName, name, { content, position, width, height, color }) {
	return {
		id: uuid5(`${workflowName}/${name}`),
		name,
		type: 'n8n-nodes-base.stickyNote',
		typeVersion: 1,
		position,
		parameters: { content, height, width, ...(color ? { color } : {}) },
	};
}

function bounds(positions) {
	const xs = positions.map(([x]) => x);
	const ys = positions.map(([, y]) => y);
	return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
}

function connections(links) {
	const all = {};
	for (const link of links) {
		const { type = 'main' } = typeof link.at(-1) === 'object' ? link.at(-1) : {};
		const parts = link.filter((part) => typeof part !== 'object');
		const [from, output, to] = parts.length === 3 ? parts : [parts[0], 0, parts[1]];
		const outputs = ((all[from] ??= {})[type] ??= []);
		while (outputs.length <= output) outputs.push([]);
		outputs[output].push({ node: to, type, index: 0 });
	}
	return all;
}

/** The UUID, version 5, of a name in this project's namespace. */
export function uuid5(name) {
	const hash = createHash('sha1').update(Buffer.from(NAMESPACE.replaceAll('-', ''), 'hex')).update(name).digest();
	hash[6] = (hash[6] & 0x0f) | 0x50;
	hash[8] = (hash[8] & 0x3f) | 0x80;
	return hash
		.subarray(0, 16)
		.toString('hex')
		.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
}
