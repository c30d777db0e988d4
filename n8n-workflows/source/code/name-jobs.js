// The same content has the same id in every call; its second copy in one call is a job of its own.
const config = $('Config').first().json;
const copies = new Map();
const jobs = $input.all().map(({ json: { job, key, hash } }) => ({ id: `${config.prefix}-${key ?? nth(hash)}`, ...job }));

function nth(hash) {
	const copy = (copies.get(hash) ?? 0) + 1;
	copies.set(hash, copy);
	return hash.slice(0, 32) + (copy > 1 ? `-${copy}` : '');
}
