"""What trials of a similar, earlier job are worth: they are added to the new job as if they were its own.

  warm_start.py hptune:PATH-TO-BINARY

Earlier job: the same function with its optimum moved by 0.05 of each range (standard deviation), 5 x dims trials. New job: 5 x dims trials, cold
and with the earlier trials added. Prints for each problem the mean log10 ratio of regrets, warm over cold: negative is better."""
import copy, math, sys
import numpy as np
sys.argv, args = [sys.argv[0], 'random'], sys.argv[1:]
import bench, run_bench
path = args[0].split(':', 1)[1]; all_ratios = []

def run(pb, seed, n, earlier):
    h = run_bench.Hptune(pb["spec"], seed, n, 1, False, path)
    for prm, y in earlier: h.call({"add": {"params": prm, "value": y}})
    trials = []
    for k in range(n):
        prm = h.ask(k); y = bench.true_value(pb, prm); h.tell(k, y); trials.append((prm, y))
    h.close(); return trials

for pb in [p for p in bench.problems() if p["kind"] == "fn" and p["fn"] not in ("branin", "hartmann6") and not p.get("noise_sd")]:
    n = 5 * len(pb["spec"]); ratios = []
    for seed in range(10):
        moved = copy.deepcopy(pb); rng = np.random.default_rng(seed)
        moved["uopt"] = np.clip(np.array(pb["uopt"]) + 0.05 * rng.standard_normal(len(pb["uopt"])), 0, 1).tolist()
        best = lambda trials: max(min(y for _, y in trials) / pb["ref"], 1e-6)
        earlier = run(moved, 100 + seed, n, [])
        ratios.append(math.log10(best(run(pb, seed, n, earlier)) / best(run(pb, seed, n, []))))
    all_ratios += ratios
    print('%-14s mean log10 ratio %+.2f  warm better in %d of %d' % (pb["name"], np.mean(ratios), sum(r < 0 for r in ratios), len(ratios)), flush=True)
print('%-14s mean log10 ratio %+.2f' % ('all', np.mean(all_ratios)))
