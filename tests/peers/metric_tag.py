"""Reports by the variables of the service: asks whether this is a tuning job, and for the name of the metric."""

import os

import hypertune

if os.environ.get("CLOUD_ML_HP_METRIC_TAG"):
    reporter = hypertune.HyperTune()
    for step in range(3):
        reporter.report_hyperparameter_tuning_metric(
            hyperparameter_metric_tag=os.environ["CLOUD_ML_HP_METRIC_TAG"], metric_value=step / 4, global_step=step
        )
