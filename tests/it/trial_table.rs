//! `jobs export`: the trials of a job as a table.

use std::collections::BTreeSet;

use parquet::record::Field;
use serde_json::Value as Json;

use crate::support::{Place, parquet_column};

/// A configuration with a parameter of each type, whose categories look like numbers.
const EACH_TYPE: &str = "trainingInput:
  hyperparameters:
    goal: MINIMIZE
    hyperparameterMetricTag: acc
    maxTrials: 8
    algorithm: RANDOM_SEARCH
    params:
    - {parameterName: lr, type: DOUBLE, minValue: 0.001, maxValue: 1}
    - {parameterName: n, type: INTEGER, minValue: 1, maxValue: 1000}
    - {parameterName: size, type: DISCRETE, discreteValues: [0.5, 16]}
    - {parameterName: kind, type: CATEGORICAL, categoricalValues: ['1e3', '007', 'nan', 'True', 'a, \"b\"']}
hptune: {seed: 5}
";

#[test]
fn the_trials_of_a_job_are_a_table_in_every_format() {
    let place = Place::of_job(EACH_TYPE);
    let script = "test $CLOUD_ML_TRIAL_ID = 3 && exit 7; cp acc.tfevents $HPTUNE_JOB_DIR/";
    place.job(&[], script).output().expect("it runs");
    let described = place.describe("job");
    let trials = described["trainingOutput"]["trials"].as_array().expect("a list");
    let jsonl = place.run(&["jobs", "export", "job", "--format", "jsonl"]);
    assert_eq!(jsonl.code, Some(0), "{}", jsonl.err);
    let rows: Vec<Json> =
        jsonl.out.lines().map(|line| serde_json::from_str(line).expect("it is JSON")).collect();
    assert_eq!(rows.len(), trials.len());
    let mut categories = BTreeSet::new();
    for (i, row) in rows.iter().enumerate() {
        assert_eq!(row["trial"], i + 1);
        let id = (i + 1).to_string();
        let trial = trials.iter().find(|trial| trial["trialId"] == *id).expect("it is there");
        assert_eq!(row["state"], trial["state"]);
        let given = &trial["hyperparameters"];
        let number = |name: &str| given[name].as_str().and_then(|text| text.parse::<f64>().ok());
        for name in ["lr", "n", "size"] {
            assert_eq!(row[format!("hparam/{name}")].as_f64(), number(name), "{name}");
        }
        assert!(row["hparam/n"].is_i64());
        assert_eq!(row["hparam/kind"], given["kind"]);
        categories.insert(given["kind"].as_str().expect("a text").to_owned());
        if i == 2 {
            assert_eq!(row["outcome"], "failed: exit code 7");
            assert!(row.get("value").is_none(), "{row}");
        } else {
            let best = (row["best_value"].as_f64(), row["best_step"].as_i64());
            assert_eq!(
                (row["value"].as_f64(), row["step"].as_i64(), best),
                (Some(0.5), Some(2), (Some(0.25), Some(1)))
            );
        }
        assert!(row["elapsed_s"].as_f64().is_some_and(|s| s >= 0.0) && row["start_time"].is_string());
    }
    assert!(categories.len() > 2, "{categories:?}");
    // The same in the others.
    let csv = place.run(&["jobs", "export", "job"]);
    let mut reader = csv::Reader::from_reader(csv.out.as_bytes());
    let at = reader
        .headers()
        .expect("it has names")
        .iter()
        .position(|name| name == "hparam/kind")
        .expect("it is there");
    let of_csv: Vec<String> = reader.records().map(|row| row.expect("it is a row")[at].to_owned()).collect();
    let of_jsonl: Vec<&str> = rows.iter().filter_map(|row| row["hparam/kind"].as_str()).collect();
    assert_eq!(of_csv, of_jsonl);
    let ran = place.run(&["jobs", "export", "job", "-o", "t.parquet"]);
    assert!(ran.code == Some(0) && ran.err.contains("8 trials written to t.parquet"), "{}", ran.err);
    let column = parquet_column(&place.path().join("t.parquet"), "hparam/kind");
    let of_parquet: Vec<Field> = of_jsonl.iter().map(|text| Field::Str((*text).to_owned())).collect();
    assert_eq!(column, of_parquet);
    assert_eq!(place.run(&["jobs", "export", "job", "-o", "t.parquet"]).code, Some(2));
    assert_eq!(place.run(&["jobs", "export", "job", "-o", "t.parquet", "--force"]).code, Some(0));
    assert_eq!(place.run(&["jobs", "export", "no_such", "-o", "u.csv"]).code, Some(2));
    assert!(!place.path().join("u.csv").exists());
}
