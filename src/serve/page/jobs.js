// The list of jobs.

import { follow, get } from "/api.js";
import { failed, h, write } from "/dom.js";
import { progress } from "/progress.js";
import { atMostEvery } from "/frames.js";
import { fillState, Table } from "/table.js";
import { count, elapsed, fullMoment, fullNumber, isOver, moment, numberOf, plural, shortNumber, stateText } from "/text.js";

const PAGE_SIZE = 200;

export function open(main, _, { linked }) {
  const jobs = new Map();
  let nextPage,
    total = 0,
    isClosed = false;
  const table = new Table({
    label: "Jobs",
    sortKey: "created",
    isDescending: true,
    empty: "",
    href: (job) => `#/jobs/${encodeURIComponent(job.jobId)}`,
    columns: [
      {
        key: "job",
        label: "Job",
        width: 260,
        phoneWidth: 176,
        sortBy: (job) => job.jobId,
        text: (job) => job.jobId,
        title: (job) => (job.name && job.name !== job.jobId ? job.name : ""),
      },
      { key: "state", label: "State", width: 130, sortBy: (job) => stateText(job.state), fill: fillState },
      { key: "progress", label: "Trials", width: 250, sortBy: (job) => nOver(job), fill: (cell, job) => progress(cell, job, true) },
      {
        key: "best",
        label: "Best",
        width: 110,
        isNumber: true,
        sortBy: (job) => numberOf(job.best?.value),
        text: (job) => shortNumber(numberOf(job.best?.value)),
        title: (job) => (job.best ? `${fullNumber(numberOf(job.best.value))}, trial ${job.best.trialId}` : ""),
      },
      {
        key: "metric",
        label: "Objective",
        width: 180,
        sortBy: (job) => job.metric,
        text: (job) => `${job.goal === "MINIMIZE" ? "min" : "max"} ${job.metric}`,
        title: (job) => job.metric,
      },
      {
        key: "took",
        label: "Took",
        width: 110,
        isNumber: true,
        isDescendingFirst: true,
        sortBy: (job) => (job.startTime ? (job.endTime ? Date.parse(job.endTime) : Date.now()) - Date.parse(job.startTime) : null),
        text: (job) => elapsed(job.startTime, job.endTime),
      },
      {
        key: "created",
        label: "Created",
        width: 130,
        isNumber: true,
        isDescendingFirst: true,
        sortBy: (job) => Date.parse(job.createTime),
        text: (job) => moment(job.createTime),
        title: (job) => fullMoment(job.createTime),
      },
    ],
  });
  const filter = h("input", { type: "search", id: "filter", placeholder: "Name, state, objective, label", oninput: () => show() });
  const counts = h("span", { class: "hint", role: "status" });
  const more = h("button", { hidden: true, onclick: () => load(true) }, "Load more");
  const none = h(
    "div",
    { class: "blank", hidden: true },
    h("h2", {}, "No jobs yet"),
    h(
      "p",
      {},
      "A job tunes the parameters of a trainer. ",
      h("a", { href: "#/submit" }, "Submit a job"),
      " here, or start one in a terminal:",
    ),
    h("pre", {}, "hptune run config.yaml -- python3 train.py\nhptune demo"),
  );
  const list = h(
    "div",
    { class: "card" },
    h(
      "div",
      { class: "card-head" },
      h("label", { for: "filter", class: "unseen" }, "Filter the jobs"),
      filter,
      counts,
      h("div", { class: "tools" }, more),
    ),
    table.host,
  );
  table.host.classList.add("tall");
  main.replaceChildren(
    h(
      "div",
      { class: "title" },
      h("h1", {}, "Jobs"),
      h("div", { class: "tools" }, h("a", { class: "button primary", href: "#/submit" }, "Submit a job")),
    ),
    list,
    none,
  );

  function show() {
    const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const rows = [...jobs.values()].filter((job) => {
      const text = `${job.jobId} ${job.name ?? ""} ${stateText(job.state)} ${job.metric} ${Object.entries(job.labels ?? {})
        .flat()
        .join(" ")}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    table.empty.textContent = "No job fits the filter.";
    table.set(rows);
    write(
      counts,
      words.length
        ? `${count(rows.length)} of ${plural(jobs.size, "job")}`
        : jobs.size < total
          ? `${count(jobs.size)} of ${plural(total, "job")}`
          : plural(jobs.size, "job"),
    );
    none.hidden = jobs.size > 0;
    list.hidden = jobs.size === 0;
    more.hidden = !nextPage;
  }
  const showSoon = atMostEvery(200, show);

  async function load(isMore = false) {
    const page = await get("/jobs", { pageSize: PAGE_SIZE, pageToken: isMore ? nextPage : undefined });
    if (isClosed) return;
    for (const job of page.jobs ?? []) jobs.set(job.jobId, job);
    nextPage = page.nextPageToken;
    total = page.total ?? jobs.size;
    show();
  }

  const fail = (error) => main.replaceChildren(...failed("Jobs", error, "#/submit", "Submit a job"));
  const slow = setTimeout(() => load().catch(fail), 400);
  const stream = follow("/events", {
    opened: () => {
      clearTimeout(slow);
      linked(true);
      load().catch(fail);
    },
    broken: () => linked(false),
    refused: () => load().catch(fail),
    job: (job) => {
      if (!jobs.has(job.jobId)) total++;
      jobs.set(job.jobId, job);
      showSoon();
    },
  });
  // What runs takes ever longer.
  const clock = setInterval(() => {
    if ([...jobs.values()].some((job) => !isOver(job.state))) table.ask();
  }, 1000);

  return {
    title: "Jobs",
    close() {
      isClosed = true;
      clearTimeout(slow);
      stream.close();
      table.close();
      showSoon.cancel();
      clearInterval(clock);
    },
  };
}

function nOver({ counts = {} }) {
  return Object.entries(counts).reduce((sum, [name, n]) => sum + (name === "pending" || name === "running" ? 0 : n), 0);
}
