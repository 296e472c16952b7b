"""A trainer with tensorboardX: MODE JOB_DIR.

placeholder: hp_metric as Lightning's logger writes it with the hyperparameters, and a curve under another tag.
late: a value a second, which the writer keeps back until it is closed.
epochs: the batch's number as step in each of three epochs.
ranks: three processes that write to one directory as a launcher starts them, the last of which is rank 0; each value is 10 times the
rank behind that of rank 0.
"""

import os
import subprocess
import sys
import time

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

mode, job_dir = sys.argv[1:3]
if mode == "ranks":
    processes = []
    for rank in (2, 1, 0):
        environment = dict(os.environ, RANK=str(rank))
        processes.append(subprocess.Popen([sys.executable, __file__, "rank", job_dir], env=environment))
        time.sleep(0.3)
    sys.exit(max(process.wait() for process in processes))
if mode == "rank":
    rank = int(os.environ["RANK"])
    with SummaryWriter(job_dir, filename_suffix=f".{rank}", flush_secs=1) as writer:
        for step in range(10):
            writer.add_scalar("acc", step - 10 * rank, step)
            writer.flush()
            time.sleep(0.3)
    sys.exit()
with SummaryWriter(job_dir) as writer:
    if mode == "placeholder":
        for summary in hparams({"lr": 0.1}, {"hp_metric": -1}):
            writer.file_writer.add_summary(summary, 0)
        writer.add_scalar("hp_metric", -1, 0)
        for step in range(5):
            writer.add_scalar("val_loss", 1 / (step + 1), step)
    elif mode == "epochs":
        for i in range(60):
            writer.add_scalar("acc", i / 60, i % 20)
    else:
        for step in range(12):
            writer.add_scalar("acc", step / 12, step)
            time.sleep(1)
