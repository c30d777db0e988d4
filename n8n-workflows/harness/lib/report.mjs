// What was seen, in plain lines: `ok`, or `FAILED` with the reason. The exit code counts the failures.

let seen = 0;
let failed = 0;

/** Runs one check and says what became of it. A check that throws has failed; what it returns is told. */
export async function check(sentence, body) {
	const began = Date.now();
	try {
		const told = await body();
		seen += 1;
		console.log(`ok      ${sentence}${typeof told === 'string' ? `: ${told}` : ''} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
	} catch (error) {
		failed += 1;
		console.log(`FAILED  ${sentence}: ${error.message ?? error}`);
	}
}

/** Something that is worth a line, but is no check. */
export function tell(text) {
	console.log(`        ${text}`);
}

/** Prints the sum and returns the exit code. */
export function summary() {
	console.log(`${seen} passed, ${failed} failed`);
	return failed > 0 || seen === 0 ? 1 : 0;
}

/** Throws unless both are the same JSON. */
export function same(found, expected, what) {
	const [a, b] = [JSON.stringify(found), JSON.stringify(expected)];
	if (a !== b) throw new Error(`${what}: expected ${b}, found ${a}`);
}

/** Throws unless `condition` holds; `what` says what was expected. */
export function holds(condition, what) {
	if (!condition) throw new Error(`expected ${what}`);
}
