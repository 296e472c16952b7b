"""A trainer with tensorboardX: MODE JOB_DIR.

placeholder: hp_metric as Lightning's logger writes it with the hyperparameters, and a curve under another tag.
late: a value a second, which the writer keeps back until it is closed.
"""

import sys
import time

from tensorboardX import SummaryWriter
from tensorboardX.summary import hparams

mode, job_dir = sys.argv[1:3]
with SummaryWriter(job_dir) as writer:
    if mode == "placeholder":
        for summary in hparams({"lr": 0.1}, {"hp_metric": -1}):
            writer.file_writer.add_summary(summary, 0)
        writer.add_scalar("hp_metric", -1, 0)
        for step in range(5):
            writer.add_scalar("val_loss", 1 / (step + 1), step)
    else:
        for step in range(12):
            writer.add_scalar("acc", step / 12, step)
            time.sleep(1)
