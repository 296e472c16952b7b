use super::*;
use crate::controller::JobEnd;
use crate::controller::JobState;
use crate::limits::LEASE_EXPIRY;
use crate::series::Change;
use crate::series::Point;
use crate::study::StopReason;
use crate::study::{Assignment, Outcome, ParamValue, Stage};
use crate::units::MetricValue;
use crate::units::{Step, TrialId, WallTime};

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).expect("a time")
}

fn new_job(id: &str) -> NewJob {
    NewJob {
        id: id.into(),
        config: "a: 1\n".into(),
        seed: u64::MAX,
        command: vec!["sh".into(), "-c".into(), "a \"b\"".into()],
        job_dir: "/tmp/x".into(),
        created_at: at(5),
        directory: "/".into(),
        deadline: Some(at(99)),
        previous: None,
    }
}

fn point(step: i64, value: f64) -> Change {
    let point = Point { step: Step(step), wall_time: WallTime(1.5), value: MetricValue::F64(value) };
    Change::Point { pass: 0, point }
}

#[test]
fn what_was_stored_reads_back_after_opening_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("state/hptune.db");
    let id = TrialId::after(0);
    let values = Assignment(vec![
        ("lr".into(), ParamValue::Number(0.1 + 0.2)),
        ("opt".into(), ParamValue::Text("a 'b'".into())),
    ]);
    let reason = StopReason::Median { step: 3, pass: 0, best: 0.1, median: 0.3, n_trials: 5 };
    let mut store = Store::open(&path).expect("it opens");
    let job = store.create_job(&new_job("one")).expect("it is new");
    let changes = vec![Change::Source("eval".into()), point(1, 0.5), point(2, 0.9), point(3, f64::NAN)];
    let records = [
        Record::Suggested(id, values.clone()),
        Record::Started(id, at(10), 1),
        Record::Changed(id, changes),
        Record::Changed(
            id,
            vec![
                Change::Rewind(crate::series::Position::first_pass(Step(2))),
                point(2, f64::NEG_INFINITY),
                point(4, 0.25),
            ],
        ),
        Record::StopDecided(id, at(20), reason),
        Record::Ended(id, at(30), Outcome::StoppedEarly),
        Record::JobEnded(at(40), JobEnd { state: JobState::Succeeded, message: Some("m".into()) }),
    ];
    store.write(job, &records).expect("it is stored");
    drop(store);

    let job = Store::open(&path).expect("it opens").job("one").expect("it reads").expect("it is there");
    assert_eq!(
        (job.state.as_str(), job.message.as_deref(), job.ended_at),
        ("SUCCEEDED", Some("m"), Some(at(40)))
    );
    assert_eq!((job.job.seed, job.job.command), (u64::MAX, new_job("one").command));
    let trial = &job.trials[0];
    assert_eq!((&trial.params, trial.stop), (&values, Some(reason)));
    assert_eq!((trial.started_at, trial.ended_at), (Some(at(10)), Some(at(30))));
    assert_eq!(trial.outcome(), Some(&Outcome::StoppedEarly));
    assert_eq!(trial.curve.run(), Some(&"eval".into()));
    let points: Vec<_> = trial.curve.points().iter().map(|m| (m.step.0, m.value)).collect();
    assert_eq!(points, [(1, 0.5), (2, f64::NEG_INFINITY), (4, 0.25)]);

    let jobs = Store::open(&path).expect("it opens").jobs().expect("it reads");
    let first = jobs[0].as_ref().expect("it reads");
    let points: Vec<_> = first.trials[0].curve.points().iter().map(|m| (m.step.0, m.value)).collect();
    assert_eq!(points, [(1, 0.5), (2, f64::NEG_INFINITY), (4, 0.25)], "the last two, and the extremes");
}

#[test]
fn a_job_of_the_same_name_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = Store::open(&directory.path().join("db")).expect("it opens");
    store.create_job(&new_job("one")).expect("it is new");
    assert!(matches!(store.create_job(&new_job("one")), Err(StoreError::JobExists(_))));
    assert_eq!(store.jobs().expect("it reads").len(), 1);
}

#[test]
fn nan_is_kept() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = Store::open(&directory.path().join("db")).expect("it opens");
    let job = store.create_job(&new_job("one")).expect("it is new");
    let id = TrialId::after(0);
    let records =
        [Record::Suggested(id, Assignment::default()), Record::Changed(id, vec![point(1, f64::NAN)])];
    store.write(job, &records).expect("it is stored");
    let job = store.job("one").expect("it reads").expect("it is there");
    assert!(job.trials[0].curve.points()[0].value.is_nan());
}

#[test]
fn a_database_of_a_newer_program_is_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("db");
    drop(Store::open(&path).expect("it opens"));
    let connection = Connection::open(&path).expect("it opens");
    connection.pragma_update(None, "user_version", 99).expect("it is set");
    assert!(matches!(Store::open(&path), Err(StoreError::TooNew { got: 99, .. })));
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("db");
    fs::write(&path, "this is not a database, whatever its name says".repeat(20)).expect("it is written");
    let error = Store::open(&path).expect_err("it is no database");
    assert!(error.to_string().contains("not a database"), "{error}");
}

#[test]
fn one_process_at_a_time_holds_a_job() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("db");
    let mut first = Store::open(&path).expect("it opens");
    let job = first.create_job(&new_job("one")).expect("it is new");
    first.hold(job).expect("nobody has it");
    let mut second = Store::open(&path).expect("it opens");
    let refused = second.hold(job).expect_err("it is held");
    assert!(refused.to_string().contains(&format!("is run by process {}", std::process::id())), "{refused}");
    assert!(second.job("one").expect("it reads").is_some_and(|job| job.is_held()));
    // A holder that is gone, though its number is used again, holds nothing.
    let gone = ProcessIdentity { start: 1, ..ProcessIdentity::own() };
    let set_holder = |holder: &ProcessIdentity, heard_of: Timestamp| {
        let holder = serde_json::to_string(holder).expect("it is written");
        let connection = Connection::open(&path).expect("it opens");
        let update = "UPDATE job SET holder = ?, heartbeat_ms = ?";
        connection.execute(update, params![holder, heard_of.as_millisecond()]).expect("it is set");
    };
    set_holder(&gone, Timestamp::now());
    second.hold(job).expect("its holder is gone");
    let records = [Record::Suggested(TrialId::after(0), Assignment::default())];
    second.write(job, &records).expect("it has it");
    // One that cannot be seen holds it until nothing was heard of it for long.
    let elsewhere = ProcessIdentity { host: "other".into(), boot: "other".into(), ..gone };
    set_holder(&elsewhere, Timestamp::now());
    assert!(matches!(second.write(job, &[]), Err(StoreError::TakenOver(_))), "it lost it");
    assert!(matches!(first.hold(job), Err(StoreError::Held { .. })));
    let long_ago = Timestamp::now().checked_sub(LEASE_EXPIRY).expect("a time");
    set_holder(&elsewhere, long_ago);
    first.hold(job).expect("nobody has heard of it");
}

#[test]
fn a_database_of_an_earlier_version_is_brought_to_this_one() {
    let of_job = ", directory TEXT NOT NULL DEFAULT '', deadline_ms INTEGER, previous TEXT, holder TEXT, heartbeat_ms INTEGER";
    let of_trial = ", attempt INTEGER NOT NULL DEFAULT 1, attempt_ms INTEGER DEFAULT 9, waiting TEXT";
    for (version, of_job, of_trial) in [(1, "", ""), (2, of_job, of_trial)] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("db");
        let connection = Connection::open(&path).expect("it opens");
        connection
            .execute_batch(&format!(
                "CREATE TABLE job (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, message TEXT,
                     created_ms INTEGER NOT NULL, ended_ms INTEGER, config TEXT NOT NULL, seed INTEGER NOT NULL,
                     command TEXT NOT NULL, job_dir TEXT NOT NULL {of_job}) STRICT;
                 CREATE TABLE trial (job INTEGER NOT NULL, id INTEGER NOT NULL, params TEXT NOT NULL, run TEXT,
                     started_ms INTEGER, ended_ms INTEGER, outcome TEXT {of_trial}, PRIMARY KEY (job, id))
                     STRICT, WITHOUT ROWID;
                 CREATE TABLE measurement (job INTEGER NOT NULL, trial INTEGER NOT NULL, step INTEGER NOT NULL,
                     value REAL, wall_time REAL, PRIMARY KEY (job, trial, step),
                     FOREIGN KEY (job, trial) REFERENCES trial(job, id)) STRICT, WITHOUT ROWID;
                 CREATE TABLE decision (number INTEGER PRIMARY KEY, job INTEGER NOT NULL, trial INTEGER,
                     at_ms INTEGER NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL) STRICT;
                 INSERT INTO job (number, id, state, created_ms, config, seed, command, job_dir)
                     VALUES (1, 'old', 'RUNNING', 5, 'a: 1', 7, '[]', '/x');
                 INSERT INTO trial (job, id, params, started_ms) VALUES (1, 1, '{{\"x\":1}}', 9);
                 INSERT INTO measurement VALUES (1, 1, 3, 0.5, 1.5), (1, 1, 7, NULL, 2.5);
                 PRAGMA user_version = {version};"
            ))
            .expect("it is made");
        drop(connection);
        let job =
            Store::open_to_read(&path).expect("it opens").job("old").expect("it reads").expect("it is there");
        let trial = &job.trials[0];
        assert_eq!((trial.attempt, trial.attempt_at, &trial.stage), (1, Some(at(9)), &Stage::Running));
        assert!(!job.is_held() && job.job.deadline.is_none());
        let points: Vec<_> = trial.curve.points().iter().map(|m| (m.pass, m.step.0, m.wall_time.0)).collect();
        assert_eq!(points, [(0, 3, 1.5), (0, 7, 2.5)], "of version {version}");
    }
}

#[test]
fn what_cannot_be_read_is_an_error_that_names_the_row_and_hides_no_other_job() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("db");
    let mut store = Store::open(&path).expect("it opens");
    for name in ["good", "bad"] {
        let job = store.create_job(&new_job(name)).expect("it is new");
        let params = Assignment(vec![("x".into(), ParamValue::Number(1.0))]);
        let id = TrialId::new(1).expect("not 0");
        let ended = Record::Ended(id, at(9), Outcome::Succeeded);
        store.write(job, &[Record::Suggested(id, params), ended]).expect("it is written");
    }
    let spoil = Connection::open(&path).expect("it opens");
    for (column, value, why) in [
        ("outcome", "'\"unheard_of\"'", "unknown variant `unheard_of`"),
        ("params", "'{\"x\":[]}'", "`x` is []"),
        ("started_ms", "9223372036854775807", "cannot be read"),
    ] {
        let before: rusqlite::types::Value = spoil
            .query_row(&format!("SELECT {column} FROM trial WHERE job = 2"), [], |row| row.get(0))
            .expect("it is there");
        spoil
            .execute(&format!("UPDATE trial SET {column} = {value} WHERE job = 2"), [])
            .expect("it is spoilt");
        let said = store.job("bad").expect_err("it cannot be read").to_string();
        assert!(said.contains(&format!("trial 1 of job `bad`: what is stored as `{column}`")), "{said}");
        assert!(said.contains(why), "{said}");
        let jobs = store.jobs().expect("it reads");
        assert_eq!(jobs.iter().map(Result::is_ok).collect::<Vec<_>>(), [false, true], "newest first");
        spoil
            .execute(&format!("UPDATE trial SET {column} = ? WHERE job = 2"), [before])
            .expect("it is mended");
    }
    assert!(store.job("bad").expect("it reads").is_some());
}
