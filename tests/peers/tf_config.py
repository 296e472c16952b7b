"""Reads TF_CONFIG by the rules of TensorFlow's Estimators (tf.estimator.RunConfig, train_and_evaluate) and writes what
it comes to. Written from their documentation; a broken rule ends it with an error.

What the rules are: without a cluster the process is local, which allows no task type but worker, with index 0. A
cluster has a chief or a master, exactly one of either, and a task of a known type whose index is in the cluster; an
evaluator is never in the cluster, stands beside a chief only, and there is one. Addresses are HOST:PORT, each once.
"""

import json
import os
import sys


def fail(why):
    sys.exit(f"TF_CONFIG: {why}: {os.environ['TF_CONFIG']}")


def main():
    config = json.loads(os.environ["TF_CONFIG"])
    cluster, task = config.get("cluster", {}), config.get("task", {})
    kind, index = task.get("type"), int(task.get("index", 0))
    if not cluster:
        if kind not in (None, "worker") or index != 0:
            fail("without a cluster the task is worker 0")
        role = "local"
    else:
        unknown = set(cluster) - {"chief", "master", "worker", "ps"}
        if unknown:
            fail(f"no part of a cluster: {sorted(unknown)}")
        mains = [name for name in ("chief", "master") if name in cluster]
        if len(mains) != 1 or len(cluster[mains[0]]) != 1:
            fail("want exactly one chief or master")
        addresses = [address for members in cluster.values() for address in members]
        if len(set(addresses)) != len(addresses):
            fail("an address is there twice")
        for address in addresses:
            host, port = address.rsplit(":", 1)
            if not host or not 0 < int(port) < 65536:
                fail(f"no address: {address}")
        if kind is None:
            fail("a member of a cluster has a type")
        if kind == "evaluator":
            if mains != ["chief"] or index != 0:
                fail("an evaluator stands beside a chief, alone")
        elif kind not in cluster or not 0 <= index < len(cluster[kind]):
            fail("the task is not in the cluster")
        role = f"{kind}-{index}"
    if config.get("environment") != "cloud":
        fail("the environment is cloud")
    if task.get("trial") != os.environ["CLOUD_ML_TRIAL_ID"]:
        fail("task.trial is the trial's id")
    told = {"role": role, "cluster": {name: len(members) for name, members in cluster.items()}}
    with open(os.path.join(os.environ["HPTUNE_JOB_DIR"], f"{role}.json"), "w") as file:
        json.dump(told, file)


main()
