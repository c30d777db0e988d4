// Checks what came and finds the key of each job: nothing is sent if one item is wrong.
const config = $('Config').first().json;
const { headers, body } = $('Jobs arrive').first().json;
const FIELDS = ['tool', 'input', 'model', 'metadata', 'expires_at', 'max_cost_usd', 'tenant'];
const MAX_METADATA_BYTES = 8192;
const MAX_REASONS = 20;

const items = itemsOf(body);
const reasons = [];
const jobs = items.map((item, index) => {
	const wrong = faultsOf(item);
	reasons.push(...wrong.map(([field, message]) => ({ item: index, field, message })));
	return wrong.length > 0 ? undefined : { key: keyOf(item, index), job: jobOf(item) };
});
if (items.length === 0) reasons.push({ message: 'expected a job, an array of jobs or {"jobs": […]}, found none' });
if (items.length > config.max_jobs) {
	reasons.push({ message: `expected at most ${config.max_jobs} jobs, found ${items.length}` });
}
reasons.push(...takenTwice(jobs));

const ok = reasons.length === 0;
return [{ json: ok ? { ok, jobs } : { ok, reasons: reasons.slice(0, MAX_REASONS) } }];

function itemsOf(value) {
	if (Array.isArray(value)) return value;
	if (Array.isArray(value?.jobs)) return value.jobs;
	return value && typeof value === 'object' && Object.keys(value).length > 0 ? [value] : [];
}

function faultsOf(item) {
	if (!isObject(item)) return [[undefined, 'expected an object']];
	const faults = [];
	const known = [...FIELDS, config.key_field];
	for (const field of Object.keys(item)) {
		if (!known.includes(field)) faults.push([field, `expected one of ${known.join(', ')}`]);
	}
	if (typeof item.tool !== 'string' || item.tool === '') faults.push(['tool', 'expected the name of a tool']);
	if (!isObject(item.input)) faults.push(['input', 'expected an object']);
	if (item.model !== undefined && typeof item.model !== 'string') faults.push(['model', 'expected a string']);
	if (bytes(item.metadata) > MAX_METADATA_BYTES) faults.push(['metadata', 'expected at most 8 KiB of JSON']);
	const key = givenKey(item, 0);
	if (key !== undefined && !isId(`${config.prefix}-${key}`)) {
		const field = item[config.key_field] === undefined ? 'Idempotency-Key' : config.key_field;
		faults.push([field, `expected, after ${config.prefix}-, at most 128 of A-Z a-z 0-9 . _ : -`]);
	}
	return faults;
}

function jobOf(item) {
	return Object.fromEntries(FIELDS.filter((field) => item[field] !== undefined).map((field) => [field, item[field]]));
}

// The caller's own key for this item, else the one for the whole request; null: a hash of the content will do.
function keyOf(item, index) {
	return givenKey(item, index) ?? null;
}

function givenKey(item, index) {
	const own = item[config.key_field];
	if (own !== undefined && own !== null && own !== '') return String(own);
	// The draft standard writes this header's value in quotes.
	const ofRequest = headers['idempotency-key']?.replace(/^"(.*)"$/, '$1');
	if (ofRequest) return items.length === 1 ? ofRequest : `${ofRequest}-${index}`;
	return undefined;
}

function takenTwice(found) {
	const first = new Map();
	const twice = [];
	for (const [index, job] of found.entries()) {
		if (!job || job.key === null) continue;
		if (first.has(job.key)) twice.push({ item: index, message: `has the same key as item ${first.get(job.key)}` });
		else first.set(job.key, index);
	}
	return twice;
}

function isId(text) {
	return /^[A-Za-z0-9._:-]{1,128}$/.test(text);
}

function isObject(value) {
	return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function bytes(value) {
	return value === undefined ? 0 : Buffer.byteLength(JSON.stringify(value));
}
