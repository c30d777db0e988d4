// One item for each job, in the order in which they were given.
const pages = $input.all().map(({ json }) => json.body?.data?.results ?? json.body?.results ?? []);
const results = pages.flat().sort((a, b) => a.index - b.index);
// A callback says "status" where a page says "state".
return results.map(({ state, ...json }) => ({ json: state === undefined ? json : { ...json, status: state } }));
