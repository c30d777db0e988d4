
const accepted = outcomes.filter(({ outcome }) => outcome === 'accepted').map(({ id }) => id);
const missing = outcomes.filter(({ outcome }) => outcome !== 'accepted').map(({ id, reason }) => ({ id, reason }));
return [{ json: { batch: $('Pack requests').first().json.batch, accepted, missing } }];
