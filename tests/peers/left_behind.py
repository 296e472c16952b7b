"""A trainer with tensorboardX: MODE JOB_DIR.

slow: writes five values, two a second.
helpers: trains, and leaves behind what trainers do: workers that were forked while the writer was open, as those of a
data loader; a resource tracker of multiprocessing; a server of the user's.
"""

import multiprocessing as mp
import os
import subprocess
import sys
import time
from multiprocessing import resource_tracker

from tensorboardX import SummaryWriter

mode, job_dir = sys.argv[1:3]
writer = SummaryWriter(job_dir, flush_secs=1)
writer.add_scalar("acc", 0.0, 0)
writer.flush()
if mode == "slow":
    for step in range(1, 5):
        time.sleep(0.5)
        writer.add_scalar("acc", step / 10, step)
    writer.close()
else:
    resource_tracker.ensure_running()
    worker = mp.get_context("fork").Process(target=time.sleep, args=(1000,))
    worker.start()
    subprocess.Popen(["sleep", "1000"], start_new_session=True)
    writer.add_scalar("acc", 0.4, 4)
    writer.close()
    # As a trainer that does not wait for its workers.
    os._exit(0)
