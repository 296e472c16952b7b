"""Run an optimiser over the problems, with simulated asynchronous workers, and append one JSON line a run.

  run_bench.py OPT [--problems a,b|all] [--seeds N] [--mult 10] [--workers 1] [--out x.jsonl]

OPT: random | tpe | gps (the last two are Optuna's) | hptune:PATH-TO-BINARY (speaks `hptune tuner CONFIG`)
The score of a run is the true value of the trial with the best observed value, over the problem's `ref`
(the median of random points); the optimum is 0."""
import argparse, heapq, json, os, subprocess, sys, tempfile, time, warnings
warnings.filterwarnings('ignore')
import numpy as np
import bench
ap = argparse.ArgumentParser(); ap.add_argument('opt'); ap.add_argument('--problems', default='all'); ap.add_argument('--seeds', type=int, default=10)
ap.add_argument('--seed0', type=int, default=0); ap.add_argument('--mult', type=int, default=10); ap.add_argument('--workers', type=int, default=1); ap.add_argument('--out', default='out.jsonl')
a = ap.parse_args()

class Random:
    def __init__(s, spec, seed, budget, workers): s.spec = spec; s.rng = np.random.default_rng(1000 + seed)
    def ask(s, tid): return bench.random_params(s.spec, s.rng)
    def tell(s, tid, v): pass
    def close(s): pass

class Optuna:
    def __init__(s, spec, seed, budget, workers):
        import optuna; optuna.logging.set_verbosity(optuna.logging.ERROR); s.spec = spec
        if a.opt == 'gps':
            import torch; torch.set_num_threads(1)
        s.st = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed) if a.opt == 'tpe' else optuna.samplers.GPSampler(seed=seed)); s.tr = {}
    def ask(s, tid):
        t = s.st.ask(); s.tr[tid] = t; out = {}
        for p in s.spec:
            n = p["name"]; sc = p.get("scale") or "UNIT_LINEAR"
            if p["type"] == "CATEGORICAL": out[n] = t.suggest_categorical(n, p["values"])
            elif "values" in p: out[n] = p["values"][t.suggest_int(n, 0, len(p["values"]) - 1)]
            elif p["type"] == "INTEGER": out[n] = t.suggest_int(n, p["min"], p["max"], log=sc == "UNIT_LOG")
            elif sc == "UNIT_REVERSE_LOG": out[n] = p["min"] + p["max"] - t.suggest_float(n, p["min"], p["max"], log=True)
            else: out[n] = t.suggest_float(n, p["min"], p["max"], log=sc == "UNIT_LOG")
        return out
    def tell(s, tid, v): s.st.tell(s.tr.pop(tid), v)
    def close(s): pass

def config(spec, seed, budget, workers, stop=False):
    ps = []
    for p in spec:
        q = {"parameterName": p["name"], "type": p["type"]}
        if p["type"] == "CATEGORICAL": q["categoricalValues"] = p["values"]
        elif p["type"] == "DISCRETE": q["discreteValues"] = p["values"]
        else: q["minValue"], q["maxValue"] = (p["min"], p["max"]) if "min" in p else (p["values"][0], p["values"][-1])
        if p.get("scale"): q["scaleType"] = p["scale"] + "_SCALE"
        ps.append(q)
    return {"trainingInput": {"hyperparameters": {"goal": "MINIMIZE", "hyperparameterMetricTag": "objective", "maxTrials": budget, "maxParallelTrials": workers,
            "enableTrialEarlyStopping": stop, "params": ps}}, "hptune": {"seed": seed}}

class Hptune:
    "One request a line, one answer a line: suggest, report, complete."
    def __init__(s, spec, seed, budget, workers, stop=False, path=None):
        s.f = tempfile.NamedTemporaryFile('w', suffix='.json'); json.dump(config(spec, seed, budget, workers, stop), s.f); s.f.flush()
        s.p = subprocess.Popen([path or a.opt.split(':', 1)[1], 'tuner', s.f.name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1); s.ids = {}
    def call(s, o):
        s.p.stdin.write(json.dumps(o) + '\n'); s.p.stdin.flush(); r = json.loads(s.p.stdout.readline())
        if 'error' in r: raise RuntimeError(r['error'])
        return next(iter(r.values()))
    def ask(s, tid): r = s.call({"suggest": {}}); s.ids[tid] = r["trial"]; return r["params"]
    def report(s, tid, step, v): return s.call({"report": {"trial": s.ids[tid], "step": step, "value": v}})["stop"]
    def tell(s, tid, v=None): s.call({"complete": {"trial": s.ids.pop(tid), **({} if v is None else {"value": v})}})
    def close(s): s.p.stdin.close(); s.p.wait(); s.f.close()

def main():
    cls = {'random': Random, 'tpe': Optuna, 'gps': Optuna}.get(a.opt, Hptune); name = a.opt.split(':')[0]
    out = open(a.out, 'a'); pbs = [p for p in bench.problems() if a.problems == 'all' or p["name"] in a.problems.split(',')]
    for seed in range(a.seed0, a.seed0 + a.seeds):
        for pb in pbs:
            n = a.mult * len(pb["spec"]); o = cls(pb["spec"], seed, n, a.workers); rng = np.random.default_rng(50000 + seed)   # noise and durations
            heap, started, now, obs, tru, asks = [], 0, 0.0, [], [], []
            while started < n or heap:
                while started < n and len(heap) < a.workers:
                    t = time.perf_counter(); prm = o.ask(started); asks.append(time.perf_counter() - t)
                    y, ty = bench.evaluate(pb, prm, rng); heapq.heappush(heap, (now + float(rng.lognormal(0, .5)), started, y, ty)); started += 1
                now, tid, y, ty = heapq.heappop(heap); o.tell(tid, y); obs.append(y); tru.append(ty)
            o.close()
            out.write(json.dumps({"opt": name, "problem": pb["name"], "seed": seed, "mult": a.mult, "workers": a.workers,
                                  "regret": tru[int(np.argmin(obs))] / pb["ref"], "ask_s": float('%.4g' % np.median(asks))}) + '\n'); out.flush()
if __name__ == '__main__': main()
