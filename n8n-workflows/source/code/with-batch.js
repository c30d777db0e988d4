
// The batch is this execution's own, since it is this one that is woken. Its jobs are not: sent again by
// another execution, they are answered from what was paid for before.
const batch = {
	id: `${config.prefix}-${$execution.id}-${Date.now().toString(36)}`,
	size: jobs.length,
	callback: $execution.resumeUrl,
};
const outgoing = jobs.map((job, index) => ({ ...job, batch: { ...batch, index } }));
