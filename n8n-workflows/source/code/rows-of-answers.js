
// A row that was not taken stays pending: the next run sends it again.
const status = { accepted: 'queued', rejected: 'rejected' };
return outcomes
	.filter(({ outcome }) => outcome in status)
	.map(({ id, outcome, reason = '' }) => ({ json: { job_id: id, status: status[outcome], error_message: reason } }));
