// Waiting on conditions, with a bound that no busy machine reaches.

const PATIENCE_MS = 300_000;

export const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Asks until `question` gives something true, and returns it. */
export async function until(what, question, { patienceMs = PATIENCE_MS, everyMs = 100 } = {}) {
	const ends = Date.now() + patienceMs;
	for (;;) {
		const answer = await question();
		if (answer) return answer;
		if (Date.now() > ends) throw new Error(`waited ${patienceMs / 1000} s in vain until ${what}`);
		await sleep(everyMs);
	}
}

/** Runs `task` for each item, `width` at a time, and returns the results in order. */
export async function inParallel(items, width, task) {
	const results = new Array(items.length);
	let next = 0;
	const runner = async () => {
		while (next < items.length) {
			const index = next++;
			results[index] = await task(items[index], index);
		}
	};
	await Promise.all(Array.from({ length: Math.min(width, items.length) }, runner));
	return results;
}
