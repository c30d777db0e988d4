
// One item a request, as large as the receiver takes it.
const LIMITS = {
	sqs: { jobs: 10, bytes: 1_000_000, payload: toSqs },
	http: { jobs: 1000, bytes: 4_000_000, payload: toHttp },
};
const limit = LIMITS[config.send_by];
if (!limit) throw new Error(`Config: send_by: expected http or sqs, found ${config.send_by}`);

const requests = [];
for (const job of outgoing) {
	const text = JSON.stringify(job);
	const size = Buffer.byteLength(text) + 1;
	let request = requests.at(-1);
	if (!request || request.ids.length === limit.jobs || request.bytes + size > limit.bytes) {
		request = { ids: [], texts: [], bytes: 0 };
		requests.push(request);
	}
	request.ids.push(job.id);
	request.texts.push(text);
	request.bytes += size;
}
return requests.map(({ ids, texts }) => {
	const payload = limit.payload(texts);
	return { json: { ids, batch: outgoing[0].batch?.id, payload } };
});

function toHttp(texts) {
	return `{"jobs":[${texts.join(',')}]}`;
}

function toSqs(texts) {
	return JSON.stringify({ QueueUrl: config.queue_url, Entries: texts.map(entry) });
}

// SQS's own ids of the entries are counters: a job's id may be longer than they may.
function entry(text, index) {
	return { Id: String(index), MessageBody: text };
}
