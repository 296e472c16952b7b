// The reports of `hptune jobs report`, opened as the files that they are.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { config, faultsOf, launch, newPage, Place, TRAINER } from "./support.js";

const NODE = process.execPath;
const MAX_BYTES = 2_000_000;

let browser, place;

before(async () => {
  browser = await launch();
  place = new Place();
  const categories = config({ nTrials: 200, nParallel: 4, stops: false }).replace("[adam, sgd]", '["1e3", "007", "nan", "<b>&"]');
  await place.run("many", categories, [NODE, TRAINER, "--steps", "60", "--pause", "0"]);
  await place.run("finished", config({ nTrials: 12 }), [NODE, TRAINER, "--steps", "30", "--pause", "3"]);
  await place.run("broken", config({ nTrials: 4 }), ["sh", "-c", "echo no such module >&2; exit 3"]);
  for (const job of ["many", "finished", "broken"]) await place.call(["jobs", "report", job, "-o", `${job}.html`]);
});

after(async () => {
  await browser?.close();
  place?.remove();
});

/** A report in a page that is closed at the end of the test, and had no fault by then. */
async function view(t, job, options) {
  const url = pathToFileURL(path.join(place.directory, `${job}.html`)).href;
  const page = await newPage(browser, { url }, options);
  t.after(async () => {
    await page.close();
    assert.deepEqual(page.faults, []);
  });
  await page.goto(url);
  await page.getByRole("heading", { name: job, exact: true }).waitFor();
  return page;
}

/** How many pixels of a chart differ from its ground. */
const inkOf = (page, label) =>
  page.locator(`.chart:has(.front[aria-label^='${label}']) canvas`).first().evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    let n = 0;
    for (let i = 3; i < data.length; i += 4) n += data[i] > 0;
    return n;
  });

test("a report of 200 trials is small, and soon there with all that it shows", async (t) => {
  const bytes = fs.statSync(path.join(place.directory, "many.html")).size;
  assert.ok(bytes < MAX_BYTES, `${bytes} bytes`);
  const page = await view(t, "many");
  await page.waitForFunction(() => document.querySelectorAll(".trials .row-link").length > 5);
  const drawn = await page.evaluate(() => performance.now());
  const paint = await page.evaluate(() => performance.getEntriesByName("first-contentful-paint")[0]?.startTime);
  t.diagnostic(`${bytes} bytes; first paint after ${paint?.toFixed(0)} ms, the table's rows after ${drawn.toFixed(0)} ms at most`);
  for (const label of ["Objective by trial", "Learning curves"]) {
    await page.waitForTimeout(300);
    assert.ok((await inkOf(page, label)) > 500, label);
  }
  assert.match(await page.locator(".front[aria-label^='Learning curves']").getAttribute("aria-label"), /200 curves/);
  for (const name of ["Parameters and objective", "Importance and slices", "Trials", "Configuration"]) {
    assert.ok(await page.getByRole("heading", { name, exact: true }).isVisible(), name);
  }
});

test("categories are shown as they are written", async (t) => {
  const page = await view(t, "many");
  await page.waitForSelector(".trials .row-link");
  const cells = new Set(await page.locator(".trials tbody:not([aria-hidden]) tr td:nth-child(9)").allTextContents());
  assert.ok(cells.size > 0 && [...cells].every((text) => ["1e3", "007", "nan", "<b>&"].includes(text)), [...cells].join());
  const chip = await page.locator(".job-head .chip").filter({ hasText: "optimizer" }).textContent();
  assert.match(chip, /^optimizer (1e3|007|nan|<b>&)$/);
});

test("a trial is shown by itself, with its parameters in full, and left by keys", async (t) => {
  const page = await view(t, "finished");
  await page.locator(".trials .row-link").first().focus();
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Trial 12" });
  await dialog.waitFor();
  assert.match(await dialog.textContent(), /learning_rate\d\.\d{5,}/);
  await dialog.getByRole("button", { name: "Previous" }).click();
  await page.getByRole("dialog", { name: "Trial 11" }).waitFor();
  assert.equal(await page.locator("dialog").count(), 1);
  await page.keyboard.press("Escape");
  await page.waitForFunction(() => document.querySelectorAll("dialog").length === 0);
  await page.locator(".front[aria-label^='Objective by trial']").focus();
  await page.keyboard.press("ArrowLeft");
  await page.waitForFunction(() => /Trial \d+, .*accuracy/.test(document.getElementById("said").textContent));
});

test("why trials ended early is told", async (t) => {
  const page = await view(t, "broken");
  const part = page.locator("section").filter({ has: page.getByRole("heading", { name: "Stopped and failed" }) });
  await part.getByText("failed", { exact: true }).first().waitFor();
  assert.equal(await part.getByRole("listitem").count(), await part.getByRole("link").count());
  assert.match(await part.getByRole("listitem").first().textContent(), /Trial 1.*3/);
});

test("axe finds nothing in light and dark, and nothing is wider than a phone", async (t) => {
  for (const [scheme, width] of [
    ["light", 1280],
    ["dark", 1280],
    ["light", 360],
    ["dark", 360],
  ]) {
    for (const job of ["many", "finished", "broken"]) {
      const page = await view(t, job, { scheme, width, height: 780 });
      await page.waitForTimeout(500);
      assert.deepEqual(await faultsOf(page), [], `${job} ${scheme} ${width}`);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(over <= 0, `${job} is ${over} px too wide`);
      if (job === "broken") continue;
      await page.locator(".trials .row-link").first().click();
      await page.locator("dialog[open]").waitFor();
      assert.deepEqual(await faultsOf(page), [], `a trial of ${job} ${scheme} ${width}`);
      await page.close();
    }
  }
});
