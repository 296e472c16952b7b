//! How long a suggestion takes: at so many finished trials in 6 dimensions, by the whole way from trials to parameters, on
//! one thread, nothing kept from the one before.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    reason = "a benchmark prints, and fails where it indexes wrongly"
)]

use std::time::Instant;

use hptune::study::{Algorithm, Config, Decided, EarlyStopping, Study, StudySpec};
use hptune::tuner::{End, Tuner};
use hptune::units::Step;
use jiff::Timestamp;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

/// How many suggestions are timed at each size.
const N_TIMED: usize = 21;

fn spec(algorithm: Algorithm) -> StudySpec {
    let number = |i| format!("{{parameterName: x{i}, type: DOUBLE, minValue: 0, maxValue: 1}}");
    let params: Vec<String> = (0..6).map(number).collect();
    let text =
        format!("hyperparameters: {{goal: MINIMIZE, maxTrials: 100000, params: [{}]}}", params.join(","));
    let (config, _) = Config::read(&text).expect("it is right");
    StudySpec { algorithm, ..config.spec }
}

/// A study with so many finished trials of which half are drawn and half suggested by chance near the best.
fn study(algorithm: Algorithm, n: usize) -> Tuner {
    let spec = spec(algorithm);
    let mut random = Tuner::new(Study::new(StudySpec { algorithm: Algorithm::Random, ..spec.clone() }));
    let mut tuner = Tuner::new(Study::new(spec.clone()));
    for i in 0..n {
        let (_, mut params) = random.suggest(NOW).expect("there are enough");
        let mut value = 0.0;
        for (j, (_, v)) in params.0.iter_mut().enumerate() {
            if let hptune::study::ParamValue::Number(v) = v {
                if i % 2 == 1 {
                    *v = 0.3 + 0.1 * (*v - 0.5);
                }
                value += (*v - 0.3) * (*v - 0.3) * (1.0 + j as f64) + 0.1 * (20.0 * *v).cos();
            }
        }
        tuner.add(NOW, params, value).expect("it is feasible");
        tuner.take_records();
    }
    tuner
}

fn time(algorithm: Algorithm, n: usize, limit_ms: f64) {
    let trials = study(algorithm, n).trials().to_vec();
    let mut times: Vec<f64> = (0..N_TIMED)
        .map(|seed| {
            let spec = StudySpec { seed: seed as u64, ..spec(algorithm) };
            let mut tuner = Tuner::new(Study::new(spec).with_trials(trials.clone(), Decided::Nothing));
            let started = Instant::now();
            let suggested = tuner.suggest(NOW);
            let took = started.elapsed().as_secs_f64() * 1e3;
            assert!(suggested.is_some());
            took
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let (median, most) = (times[N_TIMED / 2], times[N_TIMED - 1]);
    println!(
        "==> {} with {n} finished trials: {median:.2} ms, at most {most:.2} ms, {:.2} of the limit of {limit_ms} ms",
        algorithm.name(),
        median / limit_ms
    );
}

/// How long a decision of the default stopping rule takes, with so many finished trials of so many values.
fn time_decision(n_trials: u32, n_values: i64, limit_ms: f64) {
    let (mut spec, mut tuner) = (spec(Algorithm::Random), study(Algorithm::Random, 0));
    spec.early_stopping = EarlyStopping::DecayCurve { min_steps: 0, min_trials: 5 };
    let value = |trial: u32, step: i64| 1.0 / (1.0 + f64::from(trial % 17)) + 9.0 / step as f64;
    for trial in 1..=n_trials {
        tuner.suggest(NOW).expect("there are enough");
        for step in 1..=n_values {
            tuner.report(NOW, trial, Step(step), value(trial, step)).expect("it runs");
        }
        tuner.complete(NOW, trial, End::Value(None, None)).expect("it runs");
        tuner.take_records();
    }
    let mut tuner = Tuner::new(Study::new(spec).with_trials(tuner.trials().to_vec(), Decided::Nothing));
    let (id, _) = tuner.suggest(NOW).expect("there are enough");
    let mut times: Vec<f64> = (1..=N_TIMED as i64)
        .map(|i| {
            let started = Instant::now();
            tuner.report(NOW, id.get(), Step(i * n_values / 50), 3.0).expect("it runs");
            started.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let median = times[N_TIMED / 2];
    println!(
        "==> a decision with {n_trials} finished trials of {n_values} values: {median:.2} ms, {:.2} of the limit of {limit_ms} ms",
        median / limit_ms
    );
}

fn main() {
    time_decision(1_000, 1_000, 5.0);
    for (n, limit_ms) in [(0, 1.0), (50, 5.0), (100, 15.0), (300, 60.0), (1_000, 300.0)] {
        time(Algorithm::Unspecified, n, limit_ms);
    }
    for (n, limit_ms) in [(100, 15.0), (1_000, 300.0), (5_000, 300.0)] {
        time(Algorithm::Tpe, n, limit_ms);
    }
}
