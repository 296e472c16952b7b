// A server of the program under test with a store of its own, a browser, and what several tests ask of a page.

import { spawn, execFile } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import axe from "axe-core";
import { chromium } from "playwright-core";

export const PROGRAM = process.env.HPTUNE ?? "hptune";
export const TRAINER = path.join(import.meta.dirname, "trainer.js");
const run = promisify(execFile);

const FLAGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** A browser with a new profile. */
export const launch = () => chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });

/** A job's configuration for the trainer of these tests. */
export function config({ nTrials = 20, nParallel = 2, stops = true, more = "" } = {}) {
  return `trainingInput:
  hyperparameters:
    goal: MAXIMIZE
    hyperparameterMetricTag: accuracy
    maxTrials: ${nTrials}
    maxParallelTrials: ${nParallel}
    enableTrialEarlyStopping: ${stops}
    params:
      - {parameterName: learning_rate, type: DOUBLE, minValue: 1e-4, maxValue: 0.1, scaleType: UNIT_LOG_SCALE}
      - {parameterName: layers, type: INTEGER, minValue: 1, maxValue: 4}
      - {parameterName: batch_size, type: DISCRETE, discreteValues: [16, 32, 64]}
      - {parameterName: optimizer, type: CATEGORICAL, categoricalValues: [adam, sgd]}
hptune:
  seed: 3
  trial: {gracePeriod: 1s}
${more}`;
}

/** A directory with a store, in which the program is run. */
export class Place {
  directory = fs.mkdtempSync(path.join(os.tmpdir(), "hptune-browser-"));
  env = { ...process.env, HPTUNE_STORE: path.join(this.directory, "hptune.db"), XDG_STATE_HOME: this.directory };

  /** Runs a whole job by `hptune run`. */
  async run(jobId, text, command) {
    const file = path.join(this.directory, `${jobId}.yaml`);
    fs.writeFileSync(file, text);
    const args = ["run", file, "--job-id", jobId, "--job-dir", path.join(this.directory, jobId), "--", ...command];
    // A job all of whose trials failed ends with 1.
    await this.call(args).catch((error) => {
      if (error.code !== 1) throw error;
    });
  }

  /** Runs the program with these arguments. */
  call(args) {
    return run(PROGRAM, args, { env: this.env, cwd: this.directory, maxBuffer: 1 << 26 });
  }

  remove() {
    fs.rmSync(this.directory, { recursive: true, force: true, maxRetries: 5 });
  }
}

export class Server extends Place {
  /** Starts `hptune serve` on any port; resolves once it says that it is ready. */
  static async start(options = []) {
    const server = new Server();
    server.child = spawn(PROGRAM, ["serve", "--listen", "127.0.0.1:0", "--cancel-on-exit", ...options], {
      env: server.env,
      cwd: server.directory,
      stdio: ["ignore", "ignore", "pipe"],
    });
    server.url = await new Promise((resolve, reject) => {
      let said = "";
      server.child.stderr.on("data", (data) => {
        said += data;
        const url = said.match(/https?:\/\/[\d.:]+/);
        if (url) resolve(`${url[0]}/`);
      });
      server.child.on("exit", (code) => reject(new Error(`hptune serve ended with ${code}: ${said}`)));
      server.child.on("error", reject);
    });
    return server;
  }

  async stop() {
    const ended = new Promise((resolve) => this.child.on("exit", resolve));
    this.child.removeAllListeners("error");
    this.child.kill("SIGTERM");
    await ended;
    this.remove();
  }

  async submit(jobId, text, command) {
    const response = await fetch(`${this.url}api/v1/jobs`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "Hptune-Request": "1" },
      body: JSON.stringify({ jobId, config: text, command }),
    });
    if (!response.ok) throw new Error(`${response.status}: ${await response.text()}`);
    return response.json();
  }
}

/** A page whose errors, and requests to elsewhere, are gathered in `page.faults`. */
export async function newPage(browser, server, { width = 1280, height = 900, scheme = "light" } = {}) {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme, reducedMotion: "reduce" });
  page.setDefaultTimeout(20000);
  page.faults = [];
  page.on("pageerror", (error) => page.faults.push(error.stack));
  page.on("console", (message) => {
    if (message.type() === "error") page.faults.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(server.url)) page.faults.push(`asked ${request.url()}`);
  });
  return page;
}

/** What axe finds wrong, one line each. */
export async function faultsOf(page) {
  // axe is put in by the debugger, for the page's policy allows no script but the server's.
  await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ target, failureSummary }) => `${id}: ${help}: ${target} ${failureSummary}`),
  );
}
