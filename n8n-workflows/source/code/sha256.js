// SHA-256 in hex: Code nodes have no crypto module, and a node for each item would take n8n ten times as long.
function sha256(text) {
	const message = Buffer.from(text, 'utf8');
	const bytes = Buffer.alloc(((message.length + 8) >> 6) * 64 + 64);
	message.copy(bytes);
	bytes[message.length] = 0x80;
	bytes.writeUInt32BE(Math.floor(message.length / 0x20000000), bytes.length - 8);
	bytes.writeUInt32BE((message.length << 3) >>> 0, bytes.length - 4);
	let state = SHA256.initial;
	for (let at = 0; at < bytes.length; at += 64) state = withBlock(state, bytes, at);
	return state.map((word) => word.toString(16).padStart(8, '0')).join('');
}

function withBlock(state, bytes, at) {
	const words = Array.from({ length: 16 }, (_, index) => bytes.readUInt32BE(at + 4 * index));
	for (let index = 16; index < 64; index++) {
		const [early, late] = [words[index - 15], words[index - 2]];
		const mixed = (turn(early, 7) ^ turn(early, 18) ^ (early >>> 3)) + (turn(late, 17) ^ turn(late, 19) ^ (late >>> 10));
		words.push((words[index - 16] + words[index - 7] + mixed) >>> 0);
	}
	let [a, b, c, d, e, f, g, h] = state;
	for (let index = 0; index < 64; index++) {
		const first = h + (turn(e, 6) ^ turn(e, 11) ^ turn(e, 25)) + ((e & f) ^ (~e & g)) + SHA256.rounds[index] + words[index];
		const second = (turn(a, 2) ^ turn(a, 13) ^ turn(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
		[a, b, c, d, e, f, g, h] = [(first + second) >>> 0, a, b, c, (d + first) >>> 0, e, f, g];
	}
	return [a, b, c, d, e, f, g, h].map((word, index) => (word + state[index]) >>> 0);
}

function turn(word, by) {
	return (word >>> by) | (word << (32 - by));
}

// The standard's constants: the first 32 bits behind the point of roots of the first primes.
const SHA256 = (() => {
	const primes = [];
	for (let number = 2; primes.length < 64; number++) if (primes.every((prime) => number % prime)) primes.push(number);
	const fraction = (root) => ((root - Math.floor(root)) * 0x100000000) >>> 0;
	return {
		initial: primes.slice(0, 8).map((prime) => fraction(Math.sqrt(prime))),
		rounds: primes.map((prime) => fraction(Math.cbrt(prime))),
	};
})();
