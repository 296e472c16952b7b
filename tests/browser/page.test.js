// The page in a real browser against the real server: what a person sees and does, and what it costs.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fs from "node:fs";
import path from "node:path";
import { config, faultsOf, launch, newPage, Server, TRAINER } from "./support.js";

const NODE = process.execPath;
const MAX_TRANSFERRED_BYTES = 300_000;
/** Of each check that looks at time: machines of tests are slow. The figures themselves are printed. */
const SLACK = Number(process.env.HPTUNE_SLACK ?? 5);

let browser, server;

before(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
  await server.run("finished", config({ nTrials: 12 }), [NODE, TRAINER, "--steps", "30", "--pause", "3"]);
  await server.run("broken", config({ nTrials: 4 }), ["sh", "-c", "echo no such module >&2; exit 3"]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** A page of the test that is closed at its end, and had no fault by then. */
async function view(t, hash, options) {
  const page = await newPage(browser, server, options);
  t.after(async () => {
    const faults = page.faults.filter((fault) => !/Failed to load resource.*(400|401|404)/.test(fault));
    await page.close();
    assert.deepEqual(faults, []);
  });
  await page.goto(server.url + hash);
  await page.waitForSelector("h1");
  return page;
}

const stateOf = (page) => page.locator("h1 + span .state");
/** The cell of a row of the table of trials, by the head of its column. */
const cellOf = (page, trial, column) =>
  page.evaluate(
    ([trial, column]) => {
      const heads = [...document.querySelectorAll(".trials thead th")].map((head) => head.textContent);
      const row = [...document.querySelectorAll(".trials tbody tr")].find((row) => row.querySelector(".row-link")?.textContent === trial);
      return row?.children[heads.indexOf(column)]?.textContent ?? "";
    },
    [trial, column],
  );

test("a job is submitted after its errors are shown at their lines, its curves grow, a trial is stopped, the job is cancelled", async (t) => {
  const page = await view(t, "#/submit");
  await page.getByLabel("Job id").fill("from_the_page");
  await page.getByLabel("Command").fill(`${NODE} ${TRAINER} --steps 2000 --pause 100`);
  await page
    .getByLabel("Configuration, YAML or JSON")
    .fill(config({ stops: false }).replace("MAXIMIZE", "MAXIMISE").replace("maxTrials", "maxTrails"));
  await page.getByRole("button", { name: "Submit", exact: true }).click();
  await page.getByRole("button", { name: "line 3", exact: true }).waitFor();
  const lines = await page.locator(".violations .place").allTextContents();
  assert.ok(lines.includes("line 3") && lines.includes("line 5"), lines.join());
  assert.equal(await page.locator(".numbers .bad").count(), 2);
  await page.getByRole("button", { name: "line 3", exact: true }).click();
  assert.equal(
    await page.evaluate(
      () =>
        getSelection().toString().trim() ||
        document.activeElement.value.slice(document.activeElement.selectionStart, document.activeElement.selectionEnd),
    ),
    "MAXIMISE",
  );

  await page.getByLabel("Configuration, YAML or JSON").fill(config({ stops: false }));
  await page.getByRole("button", { name: "Submit", exact: true }).click();
  await page.waitForURL(/#\/jobs\/from_the_page$/);
  await page.waitForFunction(() => document.querySelectorAll(".trials tbody:not([aria-hidden]) tr").length === 2);
  await page.waitForFunction(() =>
    [...document.querySelectorAll(".trials tbody:not([aria-hidden]) tr")].every((row) => Number(row.children[4].textContent) > 3),
  );
  const early = Number(await cellOf(page, "1", "Step"));
  await page.waitForFunction(
    (early) =>
      Number(
        [...document.querySelectorAll(".trials tr")].find((row) => row.querySelector(".row-link")?.textContent === "1").children[4]
          .textContent,
      ) >
      early + 5,
    early,
  );
  const chart = page.locator(".chart .front[aria-label^='Learning curves']");
  assert.match(await chart.getAttribute("aria-label"), /2 curves, 2 of trials that run/);

  assert.deepEqual(await faultsOf(page), []);

  await page.getByRole("link", { name: "1", exact: true }).click();
  await page.waitForURL(/trials\/1$/);
  await page.waitForFunction(() => /step \d+ accuracy/.test(document.querySelector(".log")?.textContent));
  const logged = await page.locator(".log").textContent();
  await page.waitForFunction((size) => document.querySelector(".log").textContent.length > size, logged.length);
  await page.getByRole("button", { name: "Stop trial" }).click();
  assert.deepEqual(await faultsOf(page), []);
  await page.getByRole("button", { name: "Keep it running" }).click();
  assert.equal(await stateOf(page).textContent(), "running");
  await page.getByRole("button", { name: "Stop trial" }).click();
  await page.getByRole("button", { name: "Stop the trial" }).click();
  await stateOf(page).filter({ hasText: "stopped by request" }).waitFor();
  await page.getByRole("heading", { name: "Why it was stopped" }).waitFor();
  await page
    .getByText(/stopped by request|request/i)
    .nth(1)
    .waitFor();

  await page.getByRole("navigation", { name: "Where you are" }).getByRole("link", { name: "from_the_page" }).click();
  await page.waitForURL(/#\/jobs\/from_the_page$/);
  await page.getByRole("button", { name: "Cancel job" }).click();
  await page.getByRole("button", { name: "Cancel the job" }).click();
  await stateOf(page).filter({ hasText: "cancelled" }).waitFor();
  assert.equal(await cellOf(page, "1", "State"), "stopped by request");
});

test("a value is in the page soon after it was flushed", async (t) => {
  await server.submit("timed", config({ nTrials: 1, nParallel: 1, stops: false }), [NODE, TRAINER, "--steps", "60", "--pause", "100"]);
  const page = await view(t, "#/jobs/timed");
  await page.evaluate(() => {
    globalThis.seen = {};
    const look = () => {
      const step = document.querySelector(".trials tbody:not([aria-hidden]) tr")?.children[4].textContent;
      if (step) globalThis.seen[step] ??= Date.now();
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  await stateOf(page).filter({ hasText: "succeeded" }).waitFor();
  const seen = await page.evaluate(() => globalThis.seen);
  const log = await (await fetch(`${server.url}api/v1/jobs/timed/trials/1/log`)).text();
  const delays = [...log.matchAll(/step (\d+) .* at (\d+)/g)]
    .filter(([, step]) => seen[step])
    .map(([, step, at]) => seen[step] - Number(at))
    .sort((a, b) => a - b);
  const [median, late] = [delays[delays.length >> 1], delays[Math.floor(delays.length * 0.95)]];
  t.diagnostic(`from flush to browser: median ${median} ms, 95 % within ${late} ms, ${delays.length} of 60 values were seen by themselves`);
  assert.ok(delays.length > 20, `${delays.length} values`);
  assert.ok(median < 200 * SLACK, `${median} ms`);
});

test("a trial that was stopped early says why, with its curve among the others'", async (t) => {
  const page = await view(t, "#/jobs/finished");
  await page.waitForSelector(".trials .row-link");
  await page.getByLabel("State", { exact: true }).selectOption("STOPPED_EARLY");
  await page.locator(".trials .row-link").first().click();
  await page.getByRole("heading", { name: "Why it was stopped" }).waitFor();
  assert.match(await page.locator(".sentence").textContent(), /\d/);
  const label = await page.locator(".front[aria-label^='Its curve among']").getAttribute("aria-label");
  assert.match(label, /[1-9]\d* other curve/);
});

test("a trial shows its command, environment names, series, files and log", async (t) => {
  const page = await view(t, "#/jobs/finished/trials/1");
  await page.getByRole("heading", { name: "Files" }).waitFor();
  assert.match(await page.getByRole("group", { name: "Command" }).textContent(), /--learning_rate=.* --job-dir=/);
  await page.getByText("CLOUD_ML_TRIAL_ID").waitFor();
  await page.locator(".front[aria-label^='loss of eval']").waitFor({ state: "attached" });
  assert.match(await page.locator(".front[aria-label^='loss of eval']").getAttribute("aria-label"), /30 points, 1 not finite/);
  await page.getByText("events.out.tfevents").waitFor();
  assert.match(await page.locator(".log").textContent(), /step 29 accuracy/);
});

test("the table sorts as people count and filters by words and comparisons", async (t) => {
  const page = await view(t, "#/jobs/finished");
  await page.waitForSelector(".trials .row-link");
  const ids = () => page.locator(".trials .row-link").allTextContents();
  assert.deepEqual((await ids()).slice(0, 3), ["12", "11", "10"]);
  const table = page.locator(".trials");
  await table.getByRole("button", { name: "Trial" }).click();
  await page.waitForFunction(() => document.querySelector(".trials .row-link").textContent === "1");
  assert.deepEqual(
    await ids(),
    Array.from({ length: 12 }, (_, i) => String(i + 1)),
  );
  await table.getByRole("searchbox").fill("optimizer=adam layers>=2");
  // The rows follow what is said of them at the next frame.
  await page.waitForFunction(() => {
    const said = document.querySelector(".trials .hint").textContent.match(/^(\d+) of 12 trials/);
    return said && document.querySelectorAll(".trials .row-link").length === Number(said[1]);
  });
  for (const id of await ids()) {
    assert.equal(await cellOf(page, id, "optimizer"), "adam");
    assert.ok(Number(await cellOf(page, id, "layers")) >= 2);
  }
});

test("all can be reached by keys", async (t) => {
  const page = await view(t, "#/jobs/finished");
  await page.waitForSelector(".trials .row-link");
  await page.locator(".trials .row-link").first().focus();
  await page.keyboard.press("ArrowDown");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "11");
  await page.keyboard.press("End");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "1");
  await page.locator(".front[aria-label^='Objective by trial']").focus();
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction(() => /Trial \d+, .*accuracy/.test(document.getElementById("said").textContent));
  await page.locator(".front[aria-label^='Learning curves']").focus();
  await page.keyboard.press("ArrowDown");
  await page.waitForFunction(() => /Trial \d+, .*step \d/.test(document.getElementById("said").textContent));
  await page.getByRole("slider", { name: "accuracy, from" }).focus();
  for (let i = 0; i < 4; i++) await page.keyboard.press("PageUp");
  await page.waitForFunction(() => / of 12 trials/.test(document.querySelector(".trials .hint").textContent));
  await page.getByRole("button", { name: "Clear ranges" }).click();
  await page.waitForFunction(() => document.querySelector(".trials .hint").textContent === "12 trials");
  await page.locator(".trials .row-link").first().focus();
  await page.keyboard.press("Enter");
  await page.waitForURL(/trials\/\d+$/);
});

test("axe finds nothing, and nothing is wider than a phone", async (t) => {
  const stopped = await (await fetch(`${server.url}api/v1/jobs/finished`)).json();
  const trial = stopped.trials.find(({ state }) => state === "STOPPED_EARLY") ?? stopped.trials[0];
  const views = [
    "#/",
    "#/jobs/finished",
    "#/jobs/broken",
    "#/jobs/broken/trials/1",
    `#/jobs/finished/trials/${trial.trialId}`,
    "#/submit",
    "#/jobs/no_such_job",
  ];
  for (const [scheme, width] of [
    ["light", 1280],
    ["dark", 1280],
    ["light", 360],
  ]) {
    for (const hash of views) {
      const page = await view(t, hash, { scheme, width, height: 780 });
      await page.waitForTimeout(700);
      if (hash === "#/submit") {
        await page.getByLabel("Configuration, YAML or JSON").fill("trainingInput: {hyperparameters: {goal: up}}");
        await page.waitForSelector(".violations li");
      }
      assert.deepEqual(await faultsOf(page), [], `${hash} ${scheme} ${width}`);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${hash} is ${over} px too wide`);
      await page.close();
    }
  }
});

test("the page is small and soon there", async (t) => {
  const page = await view(t, "#/");
  await page.waitForSelector(".row-link");
  const { bytes, paint } = await page.evaluate(() => ({
    bytes: performance
      .getEntriesByType("navigation")
      .concat(performance.getEntriesByType("resource"))
      .filter(({ name }) => !name.includes("/api/"))
      .reduce((sum, entry) => sum + entry.transferSize, 0),
    paint: performance.getEntriesByName("first-contentful-paint")[0]?.startTime,
  }));
  t.diagnostic(`${bytes} bytes transferred, first paint after ${paint?.toFixed(0)} ms`);
  assert.ok(bytes < MAX_TRANSFERRED_BYTES, `${bytes} bytes`);
  assert.ok(paint < 300 * SLACK, `${paint} ms`);
});

test("a server with a token is asked for it once", async (t) => {
  const directory = fs.mkdtempSync(path.join(server.directory, "token-"));
  const file = path.join(directory, "token");
  fs.writeFileSync(file, "a-token-of-the-tests\n");
  const guarded = await Server.start(["--token-file", file]);
  t.after(() => guarded.stop());
  const page = await newPage(browser, guarded);
  await page.goto(guarded.url);
  await page.getByLabel("Token", { exact: true }).fill("another");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByText("That token was refused.").waitFor();
  await page.getByLabel("Token", { exact: true }).fill("a-token-of-the-tests");
  await page.getByRole("button", { name: "Go on" }).click();
  await page.getByRole("heading", { name: "No jobs yet" }).waitFor();
  await page.reload();
  await page.getByRole("heading", { name: "No jobs yet" }).waitFor();
  await page.close();
});
