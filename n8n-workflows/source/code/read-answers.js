// What became of each job: accepted, rejected for what it is, or not taken although nothing is wrong with it.
const requests = $('Pack requests').all().map(({ json }) => json.ids);
const outcomes = $input.all().flatMap(({ json }, index) => outcomesOf(requests[index], json));

function outcomesOf(ids, answer) {
	if (answer.error) return ids.map((id) => refused(id, messageOf(answer.error)));
	return answer.statusCode === undefined ? sqsOutcomes(ids, answer) : httpOutcomes(ids, answer);
}

// A batch that SQS answers with 200 may have failed in part.
function sqsOutcomes(ids, { Successful = [], Failed = [] }) {
	const taken = new Set(Successful.map(({ Id }) => Id));
	const reasons = new Map(Failed.map(({ Id, Code, Message }) => [Id, `${Code}: ${Message ?? ''}`]));
	return ids.map((id, index) => {
		const entry = String(index);
		return taken.has(entry) ? { id, outcome: 'accepted' } : refused(id, reasons.get(entry) ?? 'not acknowledged');
	});
}

// 202 and 400 tell of each job in the order in which they were sent.
function httpOutcomes(ids, { statusCode, body }) {
	const rows = Array.isArray(body?.jobs) ? body.jobs : [];
	if (rows.length !== ids.length) return ids.map((id) => refused(id, body?.detail ?? `status ${statusCode}`));
	return ids.map((id, index) => {
		const { status, error } = rows[index];
		if (status === 'accepted' || status === 'duplicate') return { id, outcome: 'accepted' };
		return { id, outcome: 'rejected', reason: error?.message ?? status };
	});
}

function refused(id, reason) {
	return { id, outcome: 'refused', reason };
}

function messageOf(error) {
	return typeof error === 'string' ? error : (error.message ?? 'unknown');
}
