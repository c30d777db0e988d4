// Ends what the harness started when the harness ends, however that happens: its standard input closes then.
// Each line is the id of a process group.
import { createInterface } from 'node:readline';

const groups = new Set();
createInterface({ input: process.stdin })
	.on('line', (line) => groups.add(Number(line)))
	.on('close', () => {
		for (const group of groups) {
			try {
				process.kill(-group, 'SIGKILL');
			} catch {
				// It had ended before.
			}
		}
	});
