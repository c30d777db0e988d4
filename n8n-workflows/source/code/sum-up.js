
const by = (wanted) => outcomes.filter(({ outcome }) => outcome === wanted);
const told = ({ id, reason }) => ({ id, reason });
return [
	{
		json: {
			batch: $('Pack requests').first().json.batch,
			accepted: by('accepted').map(({ id }) => id),
			rejected: by('rejected').map(told),
			refused: by('refused').map(told),
		},
	},
];
