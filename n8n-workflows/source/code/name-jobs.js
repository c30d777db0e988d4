// The same content has the same id in every call; its second copy in one call is a job of its own.
const config = $('Config').first().json;
const copies = new Map();
const jobs = $input.first().json.jobs.map(({ key, job }) => ({ id: `${config.prefix}-${key ?? keyOf(job)}`, ...job }));

function keyOf({ tool, input, model }) {
	const hash = sha256(JSON.stringify(sorted({ tool, input, model }))).slice(0, 32);
	const copy = (copies.get(hash) ?? 0) + 1;
	copies.set(hash, copy);
	return copy > 1 ? `${hash}-${copy}` : hash;
}

// Two jobs are the same whatever the order of their fields.
function sorted(value) {
	if (Array.isArray(value)) return value.map(sorted);
	if (typeof value !== 'object' || value === null) return value;
	return Object.fromEntries(Object.keys(value).sort().map((key) => [key, sorted(value[key])]));
}
