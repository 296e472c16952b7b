// Drawing that never holds up a frame: what takes long is given as a generator, and is carried on frame by frame.

const BUDGET_MS = 7;
const tasks = new Map();
let isAsked = false;

/** Draws for an owner at the next frames. A drawing that is under way is finished first, then begun anew. */
export function draw(owner, makeSteps) {
  const task = tasks.get(owner);
  if (task) task.next = makeSteps;
  else tasks.set(owner, { next: makeSteps, steps: null });
  ask();
}

/** The same for work of one piece. */
export const drawOnce = (owner, work) =>
  draw(owner, function* () {
    work();
  });

/** Leaves out what an owner still had to draw. */
export function forget(owner) {
  tasks.delete(owner);
}

function ask() {
  if (isAsked) return;
  isAsked = true;
  requestAnimationFrame(run);
}

function run() {
  isAsked = false;
  const until = performance.now() + BUDGET_MS;
  for (const [owner, task] of [...tasks]) {
    if (performance.now() >= until) break;
    if (!task.steps) {
      task.steps = task.next();
      task.next = null;
    }
    let isDone = true;
    try {
      do isDone = task.steps.next().done;
      while (!isDone && performance.now() < until);
    } finally {
      if (isDone) tasks.delete(owner);
    }
    if (!isDone) break;
    if (task.next) tasks.set(owner, { next: task.next, steps: null });
  }
  if (tasks.size > 0) ask();
}

/** Calls a function at most once in so many milliseconds, a number or a function that says it, and once more after the
    last call. */
export function atMostEvery(ms, work) {
  let timer = null,
    last = -Infinity;
  const run = () => {
    timer = null;
    last = performance.now();
    work();
  };
  const ask = () => {
    if (timer === null) timer = setTimeout(run, Math.max(0, last + (typeof ms === "function" ? ms() : ms) - performance.now()));
  };
  ask.cancel = () => clearTimeout(timer);
  return ask;
}
