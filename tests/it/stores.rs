//! Stores of earlier versions, databases that are no store or not yet one, and jobs that are queued.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use hptune::edge::store::{NewJob, Resource, Store};
use rusqlite::Connection;
use serde_json::Value as Json;

use crate::support::{Place, Ran, config};

/// A file of `testdata/stores`; its README says how they were made.
fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/stores").join(name)
}

/// All rows of the tables that version 3 has, but for what later versions add.
fn rows(path: &Path) -> Vec<String> {
    let database = Connection::open(path).expect("it opens");
    let columns = [
        "number, id, state, message, created_ms, ended_ms, config, seed, command, job_dir, directory, deadline_ms, \
         previous, holder, heartbeat_ms FROM job",
        "* FROM measurement",
        "* FROM decision",
        "job, id, params, run, started_ms, ended_ms, outcome, attempt, attempt_ms, waiting FROM trial",
    ];
    let mut rows = Vec::new();
    for columns in columns {
        let mut query =
            database.prepare(&format!("SELECT {columns} ORDER BY 1, 2, 3, 4")).expect("it is there");
        let n_columns = query.column_count();
        let row = |row: &rusqlite::Row<'_>| {
            (0..n_columns).map(|at| row.get::<_, rusqlite::types::Value>(at)).collect::<Result<Vec<_>, _>>()
        };
        rows.extend(
            query.query_map([], row).expect("they are there").map(|row| format!("{:?}", row.expect("a row"))),
        );
    }
    rows
}

fn version(path: &Path) -> i64 {
    let database = Connection::open(path).expect("it opens");
    let check: String = database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("it reads");
    assert_eq!(check, "ok", "{}", path.display());
    database.query_row("PRAGMA user_version", [], |row| row.get(0)).expect("it reads")
}

/// What the program that made a store showed of it: arguments, exit code and output.
fn shown(name: &str) -> Vec<(Vec<String>, Option<i32>, String)> {
    let text = fs::read_to_string(fixture(name)).expect("it is there");
    let shown: Vec<Json> = serde_json::from_str(&text).expect("it is JSON");
    let text = |value: &Json| value.as_str().expect("a text").to_owned();
    shown
        .iter()
        .map(|one| {
            let arguments = one["arguments"].as_array().expect("a list").iter().map(text).collect();
            (arguments, one["code"].as_i64().map(|code| code as i32), text(&one["out"]))
        })
        .collect()
}

/// The program shows of its store what the program that made it showed; `why` may say more.
#[track_caller]
fn shows_the_same(place: &Place, name: &str) {
    for (arguments, code, before) in shown(name) {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let now = place.run(&arguments);
        assert_eq!(now.code, code, "{arguments:?}: {}", now.err);
        if arguments.get(1) == Some(&"why") {
            let parse = |text: &str| serde_json::from_str::<Json>(text).expect("it is JSON");
            let (before, now) = (parse(&before), parse(&now.out));
            for (key, value) in before.as_object().expect("an object") {
                assert_eq!(&now[key], value, "{arguments:?}: {key}");
            }
        } else if before.starts_with(['{', '[']) {
            assert_eq!(now.out, before, "{arguments:?}");
        } else {
            // Beside the table of trials, whose numbers are shorter by now and which leaves out a run that all have in
            // common, the lines have the same words. Earlier programs had them in another order, and called an
            // interrupted job running.
            let lines = |text: &str| {
                let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
                let is_of_table =
                    |line: &str| line.starts_with(|c: char| c.is_ascii_digit()) || line.starts_with("TRIAL ");
                let mut lines: Vec<String> =
                    text.replace("INTERRUPTED", "RUNNING").lines().map(words).collect();
                lines.retain(|line| !is_of_table(line) && !line.starts_with("The run directory"));
                lines.sort();
                lines
            };
            assert_eq!(lines(&now.out), lines(&before), "{arguments:?}");
        }
    }
}

#[test]
fn a_store_of_version_3_shows_what_it_showed_and_is_kept_beside_as_it_was() {
    let place = Place::new();
    let store = place.path().join("store.db");
    fs::copy(fixture("v3.db"), &store).expect("it is copied");
    let first = place.run(&["jobs", "list"]);
    assert!(
        first.err.contains("brought from schema version 3") && first.err.contains("store.db.v3"),
        "{first:?}"
    );
    assert_eq!(place.run(&["jobs", "list"]).err, "", "it is said once");
    shows_the_same(&place, "v3.json");
    let copy = place.path().join("store.db.v3");
    assert_eq!((version(&store), version(&copy)), (6, 3));
    assert_eq!(rows(&copy), rows(&fixture("v3.db")));
    assert_eq!(rows(&store), rows(&copy));
}

#[test]
fn a_kill_while_a_store_is_brought_to_this_version_leaves_the_old_one_or_the_new_one() {
    let before = rows(&fixture("v3.db"));
    let mut versions = Vec::new();
    for n in 0..30 {
        let place = Place::new();
        let store = place.path().join("store.db");
        fs::copy(fixture("v3.db"), &store).expect("it is copied");
        let mut command = place.command(&["jobs", "list"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it runs");
        std::thread::sleep(Duration::from_micros(n * 700));
        child.kill().expect("it is ours");
        child.wait().expect("it ends");
        versions.push(version(&store));
        assert_eq!(rows(&store), before, "killed after {n} times 0.7 ms");
        let copy = place.path().join("store.db.v3");
        if copy.exists() {
            assert_eq!((version(&copy), rows(&copy)), (3, before.clone()));
        }
        assert!(copy.exists() || version(&store) == 3, "it is not changed before it is copied");
        // The next program finishes what was begun.
        assert_eq!(place.run(&["jobs", "list", "--json"]).out, shown("v3.json")[1].2);
        assert_eq!((version(&store), version(&copy)), (6, 3));
    }
    assert!(versions.iter().all(|version| matches!(version, 3 | 6)), "{versions:?}");
}

#[test]
fn a_store_whose_maker_was_killed_before_it_had_tables_is_empty() {
    let place = Place::new();
    let database = Connection::open(place.path().join("store.db")).expect("it opens");
    database.pragma_update(None, "journal_mode", "WAL").expect("it is set");
    drop(database);
    let listed = place.run(&["jobs", "list", "--json"]);
    assert_eq!((listed.code, listed.out.trim()), (Some(0), "[]"), "{}", listed.err);
    let described = place.run(&["jobs", "describe", "job"]);
    assert!(described.code == Some(2) && !described.err.contains("table"), "{described:?}");
    place.write("store.db", "");
    assert_eq!(place.run(&["jobs", "list", "--json"]).out.trim(), "[]");
}

#[test]
fn a_database_of_another_program_is_refused_and_left_as_it_is() {
    for version in [0, 1, 75] {
        let place = Place::new();
        place.write("c.yaml", config(1, "", ""));
        let path = place.path().join("store.db");
        let database = Connection::open(&path).expect("it opens");
        database
            .execute_batch("CREATE TABLE job (url TEXT); INSERT INTO job VALUES ('x')")
            .expect("it is made");
        database.pragma_update(None, "user_version", version).expect("it is set");
        drop(database);
        let before = std::fs::read(&path).expect("it is there");
        let ran = Ran::of(&place.job(&[], "true").output().expect("it runs"));
        for ran in [ran, place.run(&["jobs", "list"]), place.run(&["jobs", "cancel", "job"])] {
            assert_eq!(ran.code, Some(2), "{}", ran.err);
            assert!(ran.err.contains("of another program") && ran.err.contains("--store"), "{}", ran.err);
        }
        assert_eq!(std::fs::read(&path).expect("it is there"), before);
    }
}

#[test]
fn a_queued_job_is_shown_as_such_and_runs_when_it_is_resumed() {
    let place = Place::of_job(&config(1, "", ""));
    let script = "cp acc.tfevents $HPTUNE_JOB_DIR/x.tfevents.1";
    let job = NewJob {
        id: "job".into(),
        config: format!("labels: {{team: vision}}\n{}", config(1, "", "")),
        seed: 3,
        command: ["sh", "-c", script, "trainer"].map(String::from).to_vec(),
        job_dir: place.path().join("out"),
        created_at: "2026-01-02T03:04:05Z".parse().expect("a time"),
        directory: place.path().to_owned(),
        deadline: None,
        previous: None,
        max_trials: None,
        resource: Resource::default(),
    };
    let mut store = Store::open(&place.path().join("store.db")).expect("it opens");
    store.queue_job(&job).expect("it is new");
    assert!(place.run(&["jobs", "list"]).out.contains(" QUEUED "), "not as interrupted");
    let queued = place.describe("job");
    assert_eq!((&queued["state"], &queued["startTime"]), (&Json::from("QUEUED"), &Json::Null));
    assert_eq!(queued["labels"]["team"], "vision", "those of the configuration");
    let labels = [("team".to_owned(), "speech".to_owned())].into();
    store.set_labels("job", &labels, None).expect("they are set");
    drop(store);
    let resumed = place.run(&["jobs", "resume", "job"]);
    assert_eq!(resumed.code, Some(0), "{}", resumed.err);
    let done = place.describe("job");
    assert_eq!((&done["state"], &done["labels"]["team"]), (&Json::from("SUCCEEDED"), &Json::from("speech")));
    assert!(done["startTime"].as_str() > done["createTime"].as_str(), "{done}");
}
