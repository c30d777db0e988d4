// Tells when there are more dead letters than were told of last, not every five minutes.
const { alert_above } = $('Config').first().json;
const { Attributes, error } = $input.first().json;
const last = $getWorkflowStaticData('global');

if (!Attributes) {
	const reason = typeof error === 'string' ? error : (error?.message ?? 'no answer');
	return [{ json: { tell: true, text: `The queue of dead letters can't be read: ${reason}` } }];
}
const count = Number(Attributes.ApproximateNumberOfMessages);
const hidden = Number(Attributes.ApproximateNumberOfMessagesNotVisible);
const tell = count > alert_above && count > (last.told ?? 0);
last.told = tell ? count : Math.min(count, last.told ?? 0);
return [
	{ json: { tell, count, hidden, text: `${count} dead letters wait in ${$('Config').first().json.dlq_url}, ${hidden} are being read` } },
];
