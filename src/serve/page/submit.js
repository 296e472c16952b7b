// The form that submits a job: a configuration, checked before it is sent, what is wrong shown at its lines.

import { post } from "/api.js";
import { act, h, say, tell } from "/dom.js";
import { commandWords, plural } from "/text.js";

const EXAMPLE = `trainingInput:
  hyperparameters:
    goal: MAXIMIZE
    hyperparameterMetricTag: accuracy      # the tag in the event files, whole
    maxTrials: 40
    maxParallelTrials: 2
    enableTrialEarlyStopping: true
    params:
      - {parameterName: learning_rate, type: DOUBLE, minValue: 1e-4, maxValue: 0.1, scaleType: UNIT_LOG_SCALE}
      - {parameterName: layers, type: INTEGER, minValue: 1, maxValue: 4}
      - {parameterName: batch_size, type: DISCRETE, discreteValues: [16, 32, 64]}
      - {parameterName: optimizer, type: CATEGORICAL, categoricalValues: [adam, sgd]}
`;
const DRAFT = "hptune-draft";

export function open(main, _, { linked }) {
  linked(null);
  const draft = JSON.parse(sessionStorage.getItem(DRAFT) ?? "{}");
  const text = h("textarea", {
    id: "config",
    spellcheck: "false",
    wrap: "off",
    autocapitalize: "off",
    autocomplete: "off",
    value: draft.config ?? EXAMPLE,
    "aria-describedby": "found",
  });
  const numbers = h("pre", { class: "numbers", "aria-hidden": "true" });
  const marks = h("pre", { class: "marks", "aria-hidden": "true" });
  const jobId = h("input", {
    id: "job-id",
    autocomplete: "off",
    spellcheck: "false",
    value: draft.jobId ?? "",
    placeholder: "made from the time",
  });
  const command = h("input", {
    id: "command",
    autocomplete: "off",
    spellcheck: "false",
    value: draft.command ?? "",
    placeholder: "python3 train.py --epochs 20",
  });
  const file = h("input", {
    type: "file",
    id: "file",
    class: "unseen",
    accept: ".yaml,.yml,.json",
    onchange: async () => {
      if (!file.files[0]) return;
      text.value = await file.files[0].text();
      file.value = "";
      changed();
    },
  });
  const found = h("div", { id: "found", class: "found", role: "status" });
  const check = h("button", { type: "button", onclick: () => act(check, () => ask(false)) }, "Check");
  const submit = h("button", { type: "submit", class: "primary" }, "Submit");
  const form = h(
    "form",
    {
      class: "card submit",
      onsubmit: (event) => {
        event.preventDefault();
        act(submit, () => ask(true));
      },
    },
    h(
      "div",
      { class: "fields" },
      h("div", {}, h("label", { for: "job-id" }, "Job id"), jobId),
      h("div", { class: "grow" }, h("label", { for: "command" }, "Command"), command),
    ),
    h(
      "div",
      { class: "label-row" },
      h("label", { for: "config" }, "Configuration, YAML or JSON"),
      h("label", { for: "file", class: "button small" }, "Open a file"),
      file,
    ),
    h("div", { class: "editor" }, numbers, h("div", { class: "text" }, marks, text)),
    found,
    h("div", { class: "buttons" }, check, submit),
  );
  main.replaceChildren(
    h("nav", { "aria-label": "Where you are", class: "path" }, h("a", { href: "#/" }, "Jobs"), h("span", { "aria-hidden": "true" }, "/")),
    h("div", { class: "title" }, h("h1", {}, "Submit a job")),
    form,
  );

  let violations = [],
    asked = 0,
    isClosed = false;
  const body = () => ({
    config: text.value,
    jobId: jobId.value.trim() || undefined,
    command: command.value.trim() ? commandWords(command.value) : undefined,
  });

  async function ask(isReal) {
    clearTimeout(pause);
    const now = ++asked;
    try {
      const answer = await post("/jobs:check", body());
      if (now !== asked || isClosed) return;
      show([], answer.notes ?? []);
      if (!isReal) {
        say("No error found.");
        return;
      }
      const job = await post("/jobs", body());
      sessionStorage.removeItem(DRAFT);
      tell(`Submitted ${job.jobId}.`);
      location.hash = `#/jobs/${encodeURIComponent(job.jobId)}`;
    } catch (error) {
      if (now !== asked || isClosed) return;
      if (error.violations?.length > 0) show(error.violations, []);
      else show([{ field: "", description: error.message }], []);
    }
  }

  function show(wrong, notes) {
    violations = wrong.map((each) => placed(each, text.value)).sort((a, b) => (a.line ?? 1e9) - (b.line ?? 1e9));
    const items = violations.map(({ line, column, field, description }) => {
      const [what, ...hints] = String(description).split(/\n|; (?=did you mean)/);
      const place = line
        ? h("button", { type: "button", class: "place", onclick: () => goTo(line, column) }, `line ${line}`)
        : h("span", { class: "place" }, "–");
      return h(
        "li",
        {},
        place,
        h(
          "span",
          {},
          field && h("code", {}, field.split(".").pop()),
          field ? ": " : "",
          what,
          hints.map((hint) => h("span", { class: "hint-line" }, hint.replace(/^\s*hint:\s*/, ""))),
        ),
      );
    });
    if (items.length > 0)
      found.replaceChildren(h("p", { class: "bad-text" }, plural(items.length, "error")), h("ul", { class: "violations" }, items));
    else
      found.replaceChildren(
        h("p", { class: "good-text" }, "No error found."),
        notes.length > 0
          ? h(
              "ul",
              { class: "notes-list" },
              notes.map((note) => h("li", {}, note)),
            )
          : "",
      );
    text.setAttribute("aria-invalid", String(violations.length > 0));
    drawLines();
  }

  function goTo(line, column) {
    const lines = text.value.split("\n");
    const start = lines.slice(0, line - 1).reduce((sum, each) => sum + each.length + 1, 0);
    text.focus();
    text.setSelectionRange(start + (column ? column - 1 : 0), start + (lines[line - 1]?.length ?? 0));
    text.scrollTop = Math.max(0, (line - 5) * parseFloat(getComputedStyle(text).lineHeight));
  }

  function drawLines() {
    const bad = new Map(violations.filter(({ line }) => line).map(({ line, description }) => [line, description]));
    const lines = text.value.split("\n");
    numbers.replaceChildren(
      ...lines.map((_, idx) => h("span", { class: bad.has(idx + 1) ? "bad" : null, title: bad.get(idx + 1) }, `${idx + 1}\n`)),
    );
    marks.replaceChildren(...lines.map((_, idx) => h("span", { class: bad.has(idx + 1) ? "bad" : null }, " \n")));
    scrolled();
  }

  function scrolled() {
    numbers.scrollTop = text.scrollTop;
    marks.scrollTop = text.scrollTop;
  }

  let pause = null;
  function changed() {
    sessionStorage.setItem(DRAFT, JSON.stringify({ config: text.value, jobId: jobId.value, command: command.value }));
    drawLines();
    // It is checked when the typing pauses.
    clearTimeout(pause);
    pause = setTimeout(() => ask(false), 700);
  }
  for (const input of [text, jobId, command]) input.addEventListener("input", changed);
  text.addEventListener("scroll", scrolled, { passive: true });
  drawLines();
  return {
    title: "Submit a job",
    close() {
      isClosed = true;
      clearTimeout(pause);
    },
  };
}

/** A violation with its line: as it was told, or else where the field's name stands. */
function placed(violation, text) {
  const told = String(violation.description).match(/^line (\d+)(?:, column (\d+))?: ([^]*)$/);
  if (told) return { ...violation, line: Number(told[1]), column: Number(told[2] ?? 1), description: told[3] };
  if (violation.line) return violation;
  const name = String(violation.field ?? "")
    .split(/[.[\]]+/)
    .filter((part) => /^[A-Za-z_]/.test(part))
    .at(-1);
  const at = name ? text.split("\n").findIndex((line) => line.includes(`${name}:`) || line.includes(`"${name}"`)) : -1;
  return { ...violation, line: at < 0 ? null : at + 1 };
}
