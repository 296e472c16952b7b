"""Reports 250 values with the real cloudml-hypertune package, some of which are no numbers."""

import sys
import time

import hypertune

reporter = hypertune.HyperTune()
for step in range(250):
    value = float("nan") if step == 50 else float("inf") if step == 51 else step / 7
    reporter.report_hyperparameter_tuning_metric("accuracy", value, global_step=step)
    # The package keeps the last 100 reports: a trainer that makes more of them within a blink loses them itself.
    time.sleep(0.005)
sys.exit(7)
