// The row that is stored: one for each job, or for each batch.
const { id, timestamp, type, data } = $('Check the callback').item.json;
const isBatch = type === 'batch.completed';

return {
	json: {
		job_id: isBatch ? `batch:${data.id}` : data.id,
		tool: data.tool ?? '',
		status: { 'job.succeeded': 'done', 'job.failed': 'failed' }[type] ?? 'batch',
		result: JSON.stringify(isBatch ? data : (data.result ?? null)),
		error_class: data.error?.class ?? '',
		error_message: data.error?.message ?? '',
		cost_usd: data.usage?.cost_usd ?? 0,
		finished_at: data.finished_at ?? '',
		webhook_id: id,
		webhook_timestamp: timestamp,
	},
};
