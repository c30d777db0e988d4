
const outgoing = jobs.map((job) => (config.callback ? { ...job, callback: config.callback } : job));
