//! Values that stand for none.

use crate::units::{MetricValue, Step};

/// The tag of the metric that Lightning shows beside the hyperparameters.
const HP_METRIC: &str = "hp_metric";

/// Whether a value is what Lightning's TensorBoard logger writes with the hyperparameters before any metric is known:
/// -1 at step 0 under `hp_metric`, or `PREFIX-hp_metric`. It is no result.
///
/// Source: `lightning.pytorch.loggers.TensorBoardLogger.log_hyperparams`, `default_hp_metric`.
#[must_use]
pub fn is_placeholder(tag: &str, step: Step, value: MetricValue) -> bool {
    let is_tag = tag.strip_suffix(HP_METRIC).is_some_and(|prefix| prefix.is_empty() || prefix.ends_with('-'));
    is_tag && step == Step(0) && value.as_f64() == -1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_minus_one_at_step_0_of_hp_metric_is_one() {
        #[track_caller]
        fn check(tag: &str, step: i64, value: f32, expected: bool) {
            assert_eq!(is_placeholder(tag, Step(step), MetricValue::F32(value)), expected);
        }
        check("hp_metric", 0, -1.0, true);
        check("fold1-hp_metric", 0, -1.0, true);
        check("hp_metric", 1, -1.0, false);
        check("hp_metric", 0, -1.5, false);
        check("my_hp_metric", 0, -1.0, false);
        check("val_loss", 0, -1.0, false);
    }
}
