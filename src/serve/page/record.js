// What a report holds of its job, in place of the server's methods (api.js): the views ask for it in the same way.

export const record = JSON.parse(document.getElementById("data").textContent);

export const jobPath = (jobId) => `/jobs/${encodeURIComponent(jobId)}`;

export async function get(path, { trials } = {}) {
  if (!path.endsWith("/curves")) return record.job;
  const wanted = trials && new Set(trials.split(","));
  return { curves: record.curves.filter(({ trialId }) => !wanted || wanted.has(String(trialId))) };
}

/** There is nothing to follow: the job is loaded once. */
export function follow(_path, on) {
  queueMicrotask(() => on.opened());
  return { close() {} };
}

/** A report changes nothing; no button of its views asks for it. */
export async function post() {
  throw new Error("a report is a record of the job, and changes nothing of it");
}
