// One item for each job, in the order in which they were given.
const pages = $input.all().map(({ json }) => json.body?.data?.results ?? json.body?.results ?? []);
const results = pages.flat().sort((a, b) => a.index - b.index);
return results.map((json) => ({ json }));
