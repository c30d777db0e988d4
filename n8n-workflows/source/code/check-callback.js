// Standard Webhooks: one of the signatures is ours, and the time is now.
const { headers, raw = '' } = $('Raw body').item.json;
const { tolerance_s } = $('Config').item.json;
const id = headers['webhook-id'] ?? '';
const timestamp = Number(headers['webhook-timestamp'] ?? NaN);
const isFresh = Math.abs(Date.now() / 1000 - timestamp) <= tolerance_s;
const signatures = (headers['webhook-signature'] ?? '').split(' ').filter((part) => part.startsWith('v1,'));
const isSigned = signatures.some((signature) => isSame(signature.slice('v1,'.length), $json.expected ?? ''));
const event = id && isFresh && isSigned ? parsed(raw) : undefined;

return { json: event ? { genuine: true, id, timestamp, ...event } : { genuine: false } };

// Takes as long for a wrong signature as for a right one.
function isSame(a, b) {
	let difference = a.length ^ b.length;
	for (let i = 0; i < b.length; i++) difference |= (a.charCodeAt(i) || 0) ^ b.charCodeAt(i);
	return b.length > 0 && difference === 0;
}

// The signed bytes, not what somebody else made of them.
function parsed(text) {
	try {
		const { type, data } = JSON.parse(text);
		return typeof type === 'string' && typeof data?.id === 'string' ? { type, data } : undefined;
	} catch {
		return undefined;
	}
}
