//! How paths are taken: `~`, several at once, patterns that match nothing, names that are no text.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;

use serde_json::Value as Json;

use crate::support::{Place, Ran, config, event_file};

const WRITE: &str = "cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1";

#[test]
fn a_tilde_is_the_home_directory_wherever_a_path_is_taken() {
    let text = config(1, "", "").replace("trainingInput:\n", "trainingInput:\n  jobDir: ~/exp/j1\n");
    let place = Place::of_job(&text);
    let home = place.path().join("home");
    fs::create_dir(&home).expect("it is made");
    let run =
        |arguments: &[&str]| Ran::of(&place.command(arguments).env("HOME", &home).output().expect("it runs"));
    let trainer = ["--", "sh", "-c", WRITE];
    let job = |more: &[&str]| run(&[&["run", "c.yaml"], more, &trainer[..]].concat());
    for (more, directory) in [
        (&["--job-id", "a"][..], "exp/j1"),
        (&["--job-id", "b", "--job-dir=~/exp/j2"], "exp/j2"),
        (&["--job-id", "c", "--job-dir=~/j3", "--store=~/s.db"], "j3"),
    ] {
        let ran = job(more);
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        assert!(home.join(directory).join("1/x.tfevents.1").exists(), "{}", ran.err);
    }
    assert!(home.join("s.db").exists());
    for arguments in [
        &["inspect", "~/j3"][..],
        &["export", "~/j3", "-o", "~/points.csv"],
        &["plot", "~/j3", "-o", "~/plot.svg"],
        &["doctor", "~/j3"],
        &["verify", "~/j3", "--repair", "~/good"],
        &["watch", "~/j3", "--once", "--to", "file:~/lines.jsonl", "--state", "~/state"],
        &["run", "~/exp/c.yaml", "--job-dir", "~/new", "--dry-run", "--", "true"],
    ] {
        fs::copy(place.path().join("c.yaml"), home.join("exp/c.yaml")).expect("it is copied");
        let ran = run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
    }
    for file in ["points.csv", "plot.svg", "good", "lines.jsonl", "state"] {
        assert!(home.join(file).exists(), "{file}");
    }
    assert!(!place.path().join("~").exists());
    // Without a home directory nobody knows.
    for arguments in [&["inspect", "~/j3"][..], &["run", "c.yaml", "--job-id", "d", "--", "true"]] {
        let ran = Ran::of(&place.command(arguments).env_remove("HOME").output().expect("it runs"));
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(
            ran.err.contains("~") && ran.err.contains("HOME") && ran.err.contains("not set"),
            "{}",
            ran.err
        );
    }
    assert!(!place.path().join("~").exists());
}

/// Three runs, `runs/seed0/eval` and so on, with values of `acc`.
fn seeds() -> Place {
    let place = Place::new();
    for seed in 0..3_u8 {
        let directory = place.path().join(format!("runs/seed{seed}/eval"));
        fs::create_dir_all(&directory).expect("it is made");
        fs::write(directory.join("x.tfevents.1"), event_file(&[f32::from(seed), 0.5]))
            .expect("it is written");
    }
    place
}

#[test]
fn several_paths_are_read_together_and_told_apart() {
    let place = seeds();
    let two = ["runs/seed0", "runs/seed1"];
    let run = |verb: &[&str]| {
        let ran = place.run(&[verb, &two].concat());
        assert_eq!(ran.code, Some(0), "{verb:?}: {}", ran.err);
        ran.out
    };
    let exported = run(&["export"]);
    let rows: Vec<&str> = exported.lines().skip(1).filter_map(|line| line.split(',').next()).collect();
    assert_eq!(rows, ["seed0/eval", "seed0/eval", "seed1/eval", "seed1/eval"], "{exported}");
    let plotted = run(&["plot", "--height", "4"]);
    // What all runs have in common is left out.
    assert!(plotted.contains("seed0 ") && plotted.contains("seed1 "), "{plotted}");
    assert!(!plotted.contains("seed2"), "{plotted}");
    let diagnoses: Json = serde_json::from_str(&run(&["doctor", "--tag", "acc", "--json"])).expect("JSON");
    assert_eq!(diagnoses.as_array().map(Vec::len), Some(2), "{diagnoses}");
    assert!(run(&["doctor", "--tag", "acc"]).contains("runs/seed1:"));
    let verified: Json = serde_json::from_str(&run(&["verify", "--json"])).expect("JSON");
    let files: Vec<&str> = verified["files"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|file| file["file"].as_str())
        .collect();
    assert_eq!(files, ["seed0/eval/x.tfevents.1", "seed1/eval/x.tfevents.1"]);
    let watched = run(&["watch", "--once"]);
    let runs: Vec<Json> = watched
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).expect("JSON"))
        .filter(|line| line["kind"] == "point")
        .map(|line| line["run"].clone())
        .collect();
    assert_eq!(runs.len(), 4, "{watched}");
    assert!(runs.contains(&"seed0/eval".into()) && runs.contains(&"seed1/eval".into()), "{watched}");
    // A file beside a directory; one inside of another counts once.
    let file = "runs/seed2/eval/x.tfevents.1";
    let mixed = place.run(&["export", "runs/seed0", file, "runs/seed0/eval"]).out;
    assert_eq!(mixed.lines().count(), 5, "{mixed}");
    assert!(mixed.contains("seed2/eval"), "{mixed}");
    let all = place.run(&["export", "runs", "runs/seed0"]).out;
    assert_eq!(all.lines().count(), 7, "{all}");
    assert_eq!(place.run(&["verify", "runs/seed0", "runs/seed1", "--repair", "good"]).code, Some(0));
    assert!(place.path().join("good/seed1/eval/x.tfevents.1").exists());
    let missing = place.run(&["export", "runs/seed0", "runs/seed9"]);
    assert!(missing.code == Some(2) && missing.err.contains("runs/seed9: No such file"), "{}", missing.err);
}

#[test]
fn parameters_of_trials_stand_beside_the_rows_of_several() {
    let place = Place::of_job(&config(2, "", ""));
    assert_eq!(place.job(&[], WRITE).output().expect("it runs").status.code(), Some(0));
    let out = place.run(&["export", "out/1", "out/2"]).out;
    assert!(out.lines().next().is_some_and(|head| head.ends_with("/x")), "{out}");
    let together = place.run(&["export", "out"]).out;
    assert_eq!(out, together);
}

#[test]
fn a_pattern_that_matches_nothing_is_answered_with_the_flag_for_it() {
    let place = seeds();
    for verb in ["export", "plot", "doctor", "watch"] {
        let ran = place.run(&[verb, "runs/seed?"]);
        assert_eq!(ran.code, Some(2), "{}", ran.err);
        assert!(ran.err.contains(&format!("hptune {verb} runs --run 'seed?'")), "{}", ran.err);
    }
    assert_eq!(place.run(&["export", "runs", "--run", "seed?/*"]).out.lines().count(), 7);
}

#[test]
fn names_that_are_no_text_stay_two_where_they_are_two() {
    let place = Place::new();
    for (name, value) in [(&b"runs/a\xff"[..], 0.25), (b"runs/a\xfe", 0.75), ("runs/ü".as_bytes(), 0.5)] {
        let directory = place.path().join(OsStr::from_bytes(name));
        fs::create_dir_all(&directory).expect("it is made");
        fs::write(directory.join("x.tfevents.1"), event_file(&[value])).expect("it is written");
    }
    let inspected = place.run(&["inspect", "runs", "--json"]);
    let inspected: Json = serde_json::from_str(&inspected.out).expect("JSON");
    assert_eq!(inspected["runs"].as_array().map(Vec::len), Some(3), "{inspected}");
    let exported = place.run(&["export", "runs"]).out;
    let rows: Vec<(&str, &str)> = exported
        .lines()
        .skip(1)
        .map(|row| {
            let cells: Vec<&str> = row.split(',').collect();
            (cells[0], cells[4])
        })
        .collect();
    assert_eq!(rows, [("a\u{fffd}fe", "0.75"), ("a\u{fffd}ff", "0.25"), ("ü", "0.5")], "{exported}");
}
