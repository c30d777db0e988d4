// Standard Webhooks, the sender's side.
import { createHmac, randomBytes } from 'node:crypto';

/** A secret that both sides can hold: text, which n8n needs, and the `whsec_` form of the same bytes. */
export function newSecret() {
	const text = randomBytes(24).toString('base64url');
	return { text, whsec: `whsec_${Buffer.from(text).toString('base64')}` };
}

/** The headers of a callback with this body. */
export function signed(secret, body, { id = `msg_${randomBytes(16).toString('hex')}`, timestamp = Math.floor(Date.now() / 1000) } = {}) {
	const signature = createHmac('sha256', secret.text).update(`${id}.${timestamp}.${body}`).digest('base64');
	return { 'webhook-id': id, 'webhook-timestamp': String(timestamp), 'webhook-signature': `v1,${signature}` };
}
