// Gives each row the id of its job, once and for all: a row that has one keeps it.
const config = $('Config').first().json;

return $input.all().map(({ json: row }) => {
	const fault = faultOf(row);
	const job_id = row.job_id || `${config.prefix}-${row.key || row.id}`;
	if (fault) return { json: { row: row.id, job_id: row.job_id ?? '', status: 'rejected', error_message: fault } };
	if (!/^[A-Za-z0-9._:-]{1,128}$/.test(job_id)) {
		const error_message = 'key: expected, with the prefix, at most 128 of A-Z a-z 0-9 . _ : -';
		return { json: { row: row.id, job_id: '', status: 'rejected', error_message } };
	}
	return { json: { row: row.id, job_id, status: 'pending', error_message: '' } };
});

function faultOf({ tool, input }) {
	if (!tool) return 'tool: expected the name of a tool';
	try {
		const value = JSON.parse(input);
		if (typeof value === 'object' && value !== null && !Array.isArray(value)) return undefined;
	} catch {
		// The reason below says it.
	}
	return 'input: expected a JSON object';
}
