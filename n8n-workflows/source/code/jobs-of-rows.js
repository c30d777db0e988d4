// The rows that have a job to send, as jobs.
const config = $('Config').first().json;
const named = new Map($('Name the rows').all().map(({ json }) => [json.row, json]));
const jobs = $('Read pending rows')
	.all()
	.map(({ json }) => json)
	.filter(({ id }) => named.get(id).status === 'pending')
	.map(({ id, tool, input, model }) => ({
		id: named.get(id).job_id,
		tool,
		input: JSON.parse(input),
		...(model ? { model } : {}),
	}));
