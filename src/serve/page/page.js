// The frame of the page: which view the address names, and whether the server is reached.

import { open as openJobs } from "/jobs.js";
import { open as openJob } from "/job.js";
import { open as openSubmit } from "/submit.js";
import { open as openTrial } from "/trial.js";

const main = document.getElementById("view");
const link = document.getElementById("link");
const routes = [
  [/^\/jobs\/([^/]+)\/trials\/([^/]+)$/, ([jobId, trialId]) => [openTrial, { jobId, trialId }]],
  [/^\/jobs\/([^/]+)$/, ([jobId]) => [openJob, { jobId }]],
  [/^\/submit$/, () => [openSubmit, {}]],
  [/^/, () => [openJobs, {}]],
];

/** true: events come; false: the connection is broken; null: the view needs none. */
function linked(isLive) {
  const text = isLive ? "live" : isLive === false ? "reconnecting…" : "";
  link.dataset.live = String(isLive);
  if (link.textContent !== text) link.textContent = text;
}

let view = null;

function show() {
  const path = location.hash.slice(1) || "/";
  for (const [pattern, make] of routes) {
    const match = path.match(pattern);
    if (!match) continue;
    const isFirst = view === null;
    view?.close();
    main.replaceChildren();
    linked(null);
    const [open, names] = make(match.slice(1).map(decodeURIComponent));
    view = open(main, names, { linked });
    document.title = `${view.title} · hptune`;
    for (const item of document.querySelectorAll("header nav a")) {
      if (item.hash === (open === openSubmit ? "#/submit" : "#/")) item.setAttribute("aria-current", "page");
      else item.removeAttribute("aria-current");
    }
    if (!isFirst) {
      scrollTo(0, 0);
      main.focus({ preventScroll: true });
    }
    return;
  }
}

document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
addEventListener("hashchange", show);
show();
