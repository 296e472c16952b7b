//! `hptune jobs report`: what is in the page, and that nothing breaks out of it.

use serde_json::Value as Json;

use super::support::Place;

const CONFIG: &str = r#"
trainingInput:
  hyperparameters:
    hyperparameterMetricTag: "acc</script><script>alert(1)</script>"
    maxTrials: 4
    params:
      - {parameterName: "n<b>", type: CATEGORICAL, categoricalValues: ["1e3", "007", "nan", "</script><!--"]}
hptune:
  seed: 1
"#;

/// The page of a job of four trials whose names are hostile, one of which fails.
fn report(place: &Place) -> String {
    place.write("c.yaml", CONFIG);
    let script = r#"case "$1" in *nan) echo "no </script> such" >&2; exit 3;; esac
        echo '{"timestamp": 1.0, "trial": "1", "acc</script><script>alert(1)</script>": "0.123456789", "global_step": "10"}' \
          > "$CLOUD_ML_HP_METRIC_FILE""#;
    let ran = place.job(&[], script).output().expect("it runs");
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let ran = place.run(&["jobs", "report", "job", "-o", "report.html"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    std::fs::read_to_string(place.path().join("report.html")).expect("it is there")
}

fn data(page: &str) -> Json {
    let (_, rest) = page.split_once("id=\"data\">").expect("there are data");
    let (json, _) = rest.split_once("</script>").expect("the data end");
    serde_json::from_str(json).expect("it is JSON")
}

#[test]
fn a_report_holds_its_job_and_no_name_breaks_out_of_it() {
    let place = Place::new();
    let page = report(&place);
    assert_eq!(page.matches("<script").count(), 2, "the data and the program");
    assert_eq!(page.matches("</script").count(), 2);
    for word in ["src=", "@import", "url(", "XMLHttpRequest", "EventSource", "http-equiv=\"refresh\""] {
        assert!(!page.contains(word), "{word}");
    }
    let data = data(&page);
    let trials = data["job"]["trials"].as_array().expect("trials");
    assert_eq!(trials.len(), 4);
    // Categories are texts, as they were written.
    let mut written: Vec<&str> =
        trials.iter().filter_map(|trial| trial["parameters"]["n<b>"].as_str()).collect();
    written.sort_unstable();
    assert!(written.iter().all(|text| ["1e3", "007", "nan", "</script><!--"].contains(text)), "{written:?}");
    let failed: Vec<&Json> = trials.iter().filter(|trial| trial["state"] == "FAILED").collect();
    assert!(failed.iter().all(|trial| trial["reason"].as_str().is_some_and(|reason| reason.contains('3'))));
    // A value of a curve has the digits that can be seen, a result all of them.
    let points: Vec<&Json> =
        data["curves"].as_array().expect("curves").iter().map(|curve| &curve["points"]).collect();
    assert!(
        !points.is_empty() && points.iter().all(|points| **points == serde_json::json!([[10, 0.1234568]])),
        "{points:?}"
    );
    let with_value = trials.iter().filter_map(|trial| trial["value"].as_f64()).collect::<Vec<_>>();
    assert!(with_value.iter().all(|value| *value == 0.123456789) && with_value.len() == points.len());
    assert!(data["job"]["config"].as_str().is_some_and(|config| config.contains("categoricalValues")));
}

#[test]
fn a_report_replaces_no_file_unless_it_is_told_to() {
    let place = Place::new();
    let page = report(&place);
    place.write("report.html", "mine");
    let ran = place.run(&["jobs", "report", "job", "-o", "report.html"]);
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.contains("report.html") && ran.err.contains("--force"), "{}", ran.err);
    let read = || std::fs::read_to_string(place.path().join("report.html")).expect("it is there");
    assert_eq!(read(), "mine");
    let ran = place.run(&["jobs", "report", "job", "-o", "report.html", "--force"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    assert_eq!(data(&read())["job"]["trials"], data(&page)["job"]["trials"]);
    let ran = place.run(&["jobs", "report", "no_such", "-o", "other.html"]);
    assert_eq!(ran.code, Some(2));
    assert!(!place.path().join("other.html").exists());
}
