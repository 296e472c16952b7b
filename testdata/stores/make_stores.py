"""Makes a store with an hptune program, and what `hptune jobs` shows of it: see README.md.

    python3 make_stores.py PATH-TO-HPTUNE NAME

writes NAME.db and NAME.json to this directory. The same file is the trainer of the jobs.
"""

import json
import os
import shutil
import signal
import sqlite3
import struct
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def varint(n):
    out = b""
    while n >= 0x80:
        out += bytes([n & 0x7F | 0x80])
        n >>= 7
    return out + bytes([n])


def field(number, data):
    return varint(number << 3 | 2) + varint(len(data)) + data


class Writer:
    """Writes scalars of the tag `acc` to an event file, at once."""

    def __init__(self, directory):
        os.makedirs(directory, exist_ok=True)
        self.file = open(f"{directory}/events.out.tfevents.{int(time.time())}.host.{os.getpid()}", "ab")
        self.record(field(3, b"brain.Event:2"))

    def record(self, rest):
        event = b"\x09" + struct.pack("<d", time.time()) + rest
        length = struct.pack("<Q", len(event))
        self.file.write(length + masked(length) + event + masked(event))
        self.file.flush()

    def add(self, step, value):
        scalar = field(1, b"acc") + b"\x15" + struct.pack("<f", value)
        self.record(b"\x10" + varint(step) + field(5, field(1, scalar)))
        time.sleep(0.02)


def train(kind, arguments):
    given = dict(argument[2:].split("=", 1) for argument in arguments)
    directory = given["job-dir"]
    trial = int(os.environ["CLOUD_ML_TRIAL_ID"])
    quality = float(given["x"]) / 1000 + (0.5 if given["opt"] == "adam" else 0.0)
    if kind == "missing":
        Writer(directory).file.close()
        return 0
    if kind == "slow":
        writer = Writer(directory)
        for step in range(1, 100_000):
            writer.add(step, quality)
        return 0
    flag = f"{directory}/attempted"
    if trial == 2 and not os.path.exists(flag):
        # It fails at its first attempt, after some values.
        writer = Writer(directory)
        for step in range(1, 4):
            writer.add(step, quality)
        open(flag, "w").close()
        return 3
    if trial == 4:
        return 7
    writer = Writer(f"{directory}/eval")
    n_passes = 3 if trial == 3 else 1
    for n_pass in range(n_passes):
        for step in range(1, 13):
            value = float("nan") if trial == 5 and step > 6 else quality * (step + n_pass) / 12
            writer.add(step, value)
    if trial not in (1, 2, 3, 5):
        # Longer than the others: there is time to stop it.
        for step in range(13, 100):
            writer.add(step, quality)
    return 0


CONFIG = """\
{head}trainingInput:
  hyperparameters:
    goal: MAXIMIZE
    hyperparameterMetricTag: acc
    maxTrials: {trials}
    maxParallelTrials: {parallel}
    enableTrialEarlyStopping: true
    algorithm: RANDOM_SEARCH
    {more}
    params:
    - {{parameterName: x, type: INTEGER, minValue: 1, maxValue: 1000}}
    - {{parameterName: opt, type: CATEGORICAL, categoricalValues: [sgd, adam]}}
hptune:
  seed: 3
  trial: {{retries: {retries}}}
  earlyStopping: {{rule: median, minTrials: 2, minSteps: 40}}
"""

STUDY = """\
trainingInput:
  hyperparameters:
    goal: MINIMIZE
    hyperparameterMetricTag: loss
    maxTrials: 30
    enableTrialEarlyStopping: true
    params:
    - {parameterName: lr, type: DOUBLE, minValue: 0.0001, maxValue: 1, scaleType: UNIT_LOG_SCALE}
    - {parameterName: opt, type: CATEGORICAL, categoricalValues: [a, b]}
hptune: {seed: 1}
"""


def main(program, name):
    place = tempfile.mkdtemp(prefix="hptune-store-", dir="/tmp")
    # The jobs' command names it without a directory.
    shutil.copy(__file__, place)
    store = f"{place}/store.db"
    environment = {**os.environ, "HPTUNE_STORE": store}

    def begin(job, kind, trials, parallel=1, retries=0, more="", head=""):
        config = f"{place}/{job}.yaml"
        text = CONFIG.format(trials=trials, parallel=parallel, retries=retries, more=more, head=head)
        with open(config, "w") as file:
            file.write(text)
        command = [program, "run", config, "--job-id", job, "--job-dir", f"{place}/{job}", "--"]
        command += ["python3", os.path.basename(__file__), kind]
        return subprocess.Popen(command, env=environment, cwd=place, start_new_session=True)

    def ask(*arguments):
        ran = subprocess.run([program, *arguments], env=environment, cwd=place, capture_output=True, text=True)
        return {"arguments": arguments, "code": ran.returncode, "out": ran.stdout}

    def wait_for(job, state, n_values=0):
        while True:
            shown = ask("jobs", "describe", job, "--json")
            if shown["code"] == 0:
                shown = json.loads(shown["out"])
                trials = shown["trainingOutput"]["trials"]
                if shown["state"] == state and sum(len(t.get("allMetrics", [])) for t in trials) >= n_values:
                    return
            time.sleep(0.05)

    begin("finished", "usual", 9, retries=1, head="labels: {team: vision}\n").wait()
    begin("continued", "usual", 3, more="resumePreviousJobId: finished").wait()
    begin("without_metric", "missing", 3).wait()
    cancelled = begin("cancelled", "slow", 4, parallel=2)
    wait_for("cancelled", "RUNNING", 4)
    ask("jobs", "cancel", "cancelled")
    cancelled.wait()

    with open(f"{place}/study.yaml", "w") as file:
        file.write(STUDY)
    requests = [{"suggest": {}}, {"suggest": {}}, {"suggest": {}}]
    requests += [{"report": {"trial": 1, "step": step, "value": 1 / step}} for step in range(1, 6)]
    requests += [{"complete": {"trial": 1}}, {"complete": {"trial": 2, "infeasible": "out of memory"}}]
    requests += [{"add": {"params": {"lr": 0.3, "opt": "a"}, "value": 0.5}}]
    requests += [{"report": {"trial": 3, "step": 1, "value": 0.7}}]
    lines = "".join(json.dumps(request) + "\n" for request in requests)
    command = [program, "tuner", "study.yaml", "--store", store, "--job-id", "study"]
    subprocess.run(command, input=lines, text=True, cwd=place, stdout=subprocess.DEVNULL, check=True)

    killed = begin("killed", "slow", 4, parallel=2)
    wait_for("killed", "RUNNING", 4)
    # The supervisors of the trials and the trainers have its job directory in their environment or their command.
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            environ = open(f"/proc/{process}/environ", "rb").read()
        except OSError:
            continue
        if f"HPTUNE_JOB_DIR={place}/killed".encode() in environ:
            os.kill(int(process), signal.SIGKILL)

    shown = [ask("jobs", "list"), ask("jobs", "list", "--json")]
    for row in json.loads(shown[1]["out"]):
        job = row["jobId"]
        shown += [ask("jobs", "describe", job), ask("jobs", "describe", job, "--json")]
        for trial in json.loads(shown[-1]["out"])["hptuneOutput"]["trials"]:
            shown += [ask("jobs", "why", job, trial["trialId"], "--json")]
    # All that is in the write-ahead log comes to the file.
    connection = sqlite3.connect(store)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()
    shutil.copyfile(store, f"{HERE}/{name}.db")
    with open(f"{HERE}/{name}.json", "w") as file:
        json.dump(shown, file, indent=1)
        file.write("\n")
    shutil.rmtree(place)


if __name__ == "__main__":
    if sys.argv[1] in ("usual", "slow", "missing"):
        sys.exit(train(sys.argv[1], sys.argv[2:]))
    main(os.path.abspath(sys.argv[1]), sys.argv[2])
