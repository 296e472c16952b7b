use super::*;
use crate::edge::process_tree::ProcessIdentity;
use crate::limits::LEASE_EXPIRY;
use crate::objective::Change;
use crate::study::{
    Assignment, Compared, Comparison, FinalState, JobEnd, Outcome, ParamValue, Stage, StopDecision,
    StopReason,
};
use crate::units::MetricValue;
use crate::units::{Step, TrialId, WallTime};
use tfevents::series::Point;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(ms).expect("a time")
}

pub(crate) fn new_job(id: &str) -> NewJob {
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
        max_trials: None,
        resource: Resource::default(),
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
    let compared = |trial, job: Option<&str>, value| Compared { trial, job: job.map(Into::into), value };
    let trials = vec![compared(1, Some("before"), Some(0.1 + 0.2)), compared(7, None, None)];
    let decision = StopDecision {
        reason: StopReason::Median { step: 3, pass: 0, best: 0.1, median: 0.3, n_trials: 5 },
        compared: Some(Comparison { step: 3, trials }),
    };
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
                Change::Rewind(tfevents::series::Position::first_pass(Step(2))),
                point(2, f64::NEG_INFINITY),
                point(4, 0.25),
            ],
        ),
        Record::StopDecided(id, at(20), decision.clone()),
        Record::Ended(id, at(30), Outcome::StoppedEarly),
        Record::JobEnded(at(40), JobEnd { state: FinalState::Succeeded, message: Some("m".into()) }),
    ];
    store.write(job, &records).expect("it is stored");
    drop(store);

    let job = Store::open(&path).expect("it opens").job("one").expect("it reads").expect("it is there");
    assert_eq!(
        (job.state, job.message.as_deref(), job.ended_at),
        (State::Ended(FinalState::Succeeded), Some("m"), Some(at(40)))
    );
    assert_eq!((job.job.seed, job.job.command), (u64::MAX, new_job("one").command));
    let trial = &job.trials[0];
    assert_eq!((&trial.params, &trial.stop), (&values, &Some(decision)));
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

/// Makes a database of version 1 or 2 with a job of one trial. While the connection lives, the rows are in the
/// write-ahead log.
fn make_old(path: &Path, version: i64) -> Connection {
    let of_job = ", directory TEXT NOT NULL DEFAULT '', deadline_ms INTEGER, previous TEXT, holder TEXT, heartbeat_ms INTEGER";
    let of_trial = ", attempt INTEGER NOT NULL DEFAULT 1, attempt_ms INTEGER, waiting TEXT";
    let (of_job, of_trial, begun) =
        if version == 1 { ("", "", "") } else { (of_job, of_trial, "UPDATE trial SET attempt_ms = 9;") };
    let connection = Connection::open(path).expect("it opens");
    connection.pragma_update(None, "journal_mode", "WAL").expect("it is set");
    connection
        .execute_batch(&format!(
            "CREATE TABLE job (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, state TEXT NOT NULL, message TEXT,
                 created_ms INTEGER NOT NULL, ended_ms INTEGER, config TEXT NOT NULL, seed INTEGER NOT NULL,
                 command TEXT NOT NULL, job_dir TEXT NOT NULL {of_job}) STRICT;
             CREATE TABLE trial (job INTEGER NOT NULL REFERENCES job(number), id INTEGER NOT NULL, params TEXT NOT NULL,
                 run TEXT, started_ms INTEGER, ended_ms INTEGER, outcome TEXT {of_trial}, PRIMARY KEY (job, id))
                 STRICT, WITHOUT ROWID;
             CREATE TABLE measurement (job INTEGER NOT NULL, trial INTEGER NOT NULL, step INTEGER NOT NULL,
                 value REAL, wall_time REAL, PRIMARY KEY (job, trial, step),
                 FOREIGN KEY (job, trial) REFERENCES trial(job, id)) STRICT, WITHOUT ROWID;
             CREATE TABLE decision (number INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES job(number),
                 trial INTEGER, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, reason TEXT NOT NULL) STRICT;
             INSERT INTO job (number, id, state, created_ms, config, seed, command, job_dir)
                 VALUES (1, 'old', 'RUNNING', 5, 'a: 1', 7, '[]', '/x');
             INSERT INTO trial (job, id, params, started_ms) VALUES (1, 1, '{{\"x\":1}}', 9);
             {begun}
             INSERT INTO measurement VALUES (1, 1, 3, 0.5, 1.5), (1, 1, 7, NULL, 2.5);
             PRAGMA user_version = {version};"
        ))
        .expect("it is made");
    connection
}

#[test]
fn a_database_of_an_earlier_version_is_brought_to_this_one_and_kept_as_it_was() {
    for version in [1, 2] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("db");
        let _in_the_log = make_old(&path, version);
        let store = Store::open_to_read(&path).expect("it opens");
        let upgraded = store.upgraded().expect("it is of an older version");
        assert_eq!(
            (upgraded.from, &upgraded.copy),
            (version, &directory.path().join(format!("db.v{version}")))
        );
        let copy = Connection::open(&upgraded.copy).expect("it opens");
        let count =
            "SELECT (SELECT count(*) FROM measurement), (SELECT user_version FROM pragma_user_version)";
        let counted: (i64, i64) =
            copy.query_row(count, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("it reads");
        assert_eq!(counted, (2, version), "what is in the write-ahead log is copied");
        let job = store.job("old").expect("it reads").expect("it is there");
        let trial = &job.trials[0];
        assert_eq!((trial.attempt, trial.attempt_at, &trial.stage), (1, Some(at(9)), &Stage::Running));
        assert!(!job.is_held() && job.job.deadline.is_none());
        assert_eq!(
            (job.etag, job.started_at, &job.job.resource),
            (Etag(0), Some(at(5)), &Resource::default())
        );
        let points: Vec<_> = trial.curve.points().iter().map(|m| (m.pass, m.step.0, m.wall_time.0)).collect();
        assert_eq!(points, [(0, 3, 1.5), (0, 7, 2.5)], "of version {version}");
        assert!(Store::open(&path).expect("it opens").upgraded().is_none(), "once");
    }
}

/// A store that a program of version 3 made; `testdata/stores/README.md` says what is in it.
fn version_3(directory: &Path) -> PathBuf {
    let path = directory.join("db");
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/stores/v3.db");
    fs::copy(fixture, &path).expect("it is copied");
    path
}

/// Each column of each table, and each index.
fn schema_of(path: &Path) -> Vec<String> {
    let connection = Connection::open(path).expect("it opens");
    let columns = "
        SELECT m.name || '.' || c.name || ' ' || c.type || ' ' || c.\"notnull\" || ' ' || c.pk || ' '
                      || coalesce(c.dflt_value, '')
               FROM sqlite_master m JOIN pragma_table_xinfo(m.name) c WHERE m.type = 'table'
        UNION SELECT name || ' on ' || tbl_name || coalesce(sql, '') FROM sqlite_master WHERE type = 'index'
        ORDER BY 1";
    let mut query = connection.prepare(columns).expect("it is there");
    query.query_map([], |row| row.get(0)).expect("it reads").collect::<Result<_, _>>().expect("it reads")
}

#[test]
fn a_database_of_any_earlier_version_gets_the_schema_of_a_new_one() {
    let directory = tempfile::tempdir().expect("a directory");
    let new = directory.path().join("new");
    drop(Store::open(&new).expect("it opens"));
    assert!(schema_of(&new).iter().any(|column| column.starts_with("job.revision")));
    for version in [1, 2, 3] {
        let directory = tempfile::tempdir().expect("a directory");
        let path = if version == 3 { version_3(directory.path()) } else { directory.path().join("db") };
        if version < 3 {
            make_old(&path, version);
        }
        drop(Store::open(&path).expect("it opens"));
        assert_eq!(schema_of(&path), schema_of(&new), "from version {version}");
    }
}

#[test]
fn a_change_of_the_schema_that_fails_leaves_the_database_as_it_was() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = version_3(directory.path());
    let spoil = Connection::open(&path).expect("it opens");
    // Made after the columns of other tables were added.
    spoil.execute_batch("CREATE TABLE metadata (x)").expect("it is made");
    let before = schema_of(&path);
    let error = Store::open(&path).expect_err("it cannot be changed").to_string();
    assert!(error.contains("metadata already exists"), "{error}");
    assert_eq!(schema_of(&path), before);
    spoil.execute_batch("DROP TABLE metadata").expect("it is dropped");
    assert_eq!(Store::open(&path).expect("it opens").jobs().expect("it reads").len(), 6);
}

#[test]
fn a_copy_takes_the_place_of_no_other_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = version_3(directory.path());
    let in_place = directory.path().join("db.v3");
    fs::write(&in_place, "mine").expect("it is written");
    let store = Store::open(&path).expect("it opens");
    let copy = &store.upgraded().expect("it is of an older version").copy;
    assert_eq!(*copy, directory.path().join("db.v3.2"));
    assert_eq!(fs::read_to_string(&in_place).expect("it is there"), "mine");
    assert!(!directory.path().join("db.v3.part").exists());
}

#[test]
fn without_a_copy_nothing_is_changed() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = version_3(directory.path());
    let before = schema_of(&path);
    let in_the_way = directory.path().join("db.v3.part");
    fs::create_dir(&in_the_way).expect("it is made");
    let error = Store::open(&path).expect_err("it cannot be copied");
    assert!(matches!(error, StoreError::Copy { .. }), "{error}");
    assert_eq!(schema_of(&path), before);
    fs::remove_dir(&in_the_way).expect("it is removed");
    assert!(Store::open(&path).expect("it opens").upgraded().is_some());
}

#[test]
fn a_process_of_version_3_goes_on_writing_after_another_one_changed_the_schema() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = version_3(directory.path());
    let old = Connection::open(&path).expect("it opens");
    old.pragma_update(None, "foreign_keys", true).expect("it is set");
    // The statements of version 3, each prepared before the schema changes and used behind that.
    let job = "INSERT INTO job (id, state, created_ms, config, seed, command, job_dir, directory, deadline_ms, previous)
               VALUES (?, 'RUNNING', 5, 'a: 1', 7, '[]', '/x', '/', NULL, NULL)";
    let heartbeat = "UPDATE job SET heartbeat_ms = ? WHERE number = ? AND holder IS NULL";
    let trial = "INSERT INTO trial (job, id, params) VALUES (?, ?, '{\"x\":1}')";
    let started = "UPDATE trial SET started_ms = coalesce(started_ms, ?1), attempt_ms = ?1, attempt = ?2, waiting = NULL
                   WHERE job = ?3 AND id = ?4";
    let measurement = "INSERT OR REPLACE INTO measurement (job, trial, pass, step, value, wall_time)
                       VALUES (?, ?, ?, ?, ?, ?)";
    let decision = "INSERT INTO decision (job, trial, at_ms, kind, reason) VALUES (?, ?, ?, 'retry', ?)";
    let ended = "UPDATE trial SET ended_ms = ?, outcome = ? WHERE job = ? AND id = ?";
    let over = "UPDATE job SET state = ?, message = ?, ended_ms = ?, holder = NULL WHERE number = ?";
    let mut statements: Vec<_> = [job, heartbeat, trial, started, measurement, decision, ended, over]
        .iter()
        .map(|sql| old.prepare(sql).expect("it is of version 3"))
        .collect();
    let new = Store::open(&path).expect("it opens");
    assert!(new.upgraded().is_some());
    let [job, heartbeat, trial, started, measurement, decision, ended, over] = &mut *statements else {
        panic!("as many as were prepared")
    };
    job.execute(["late"]).expect("it is stored");
    let number = old.last_insert_rowid();
    heartbeat.execute(params![7, number]).expect("it is stored");
    trial.execute(params![number, 1]).expect("it is stored");
    started.execute(params![10, 1, number, 1]).expect("it is stored");
    measurement.execute(params![number, 1, 0, 3, 0.5, 1.5]).expect("it is stored");
    decision.execute(params![number, 1, 11, "{}"]).expect("it is stored");
    ended.execute(params![12, "\"succeeded\"", number, 1]).expect("it is stored");
    over.execute(params!["SUCCEEDED", None::<String>, 13, number]).expect("it is stored");
    let job = new.job("late").expect("it reads").expect("it is there");
    assert_eq!((job.state, job.started_at), (State::Ended(FinalState::Succeeded), Some(at(5))));
    assert_eq!(job.trials[0].outcome(), Some(&Outcome::Succeeded));
    assert_eq!(job.trials[0].curve.points().len(), 1);
    assert_eq!(job.etag, Etag(0), "it does not raise the revision");
}

#[test]
fn every_change_of_a_job_gives_it_another_etag_and_a_heartbeat_does_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = Store::open(&directory.path().join("db")).expect("it opens");
    let job = store.create_job(&new_job("one")).expect("it is new");
    store.create_job(&new_job("other")).expect("it is new");
    store.hold(job).expect("nobody has it");
    let id = TrialId::after(0);
    let mut last = Etag(0);
    let mut check = |what: &str, store: &Store, is_change: bool| {
        let etag = store.job("one").expect("it reads").expect("it is there").etag;
        assert_eq!(etag != last, is_change, "{what}");
        last = etag;
    };
    check("nothing", &store, false);
    store.write(job, &[]).expect("it is stored");
    check("a heartbeat", &store, false);
    store.write(job, &[Record::Suggested(id, Assignment::default())]).expect("it is stored");
    check("a trial", &store, true);
    store.write(job, &[Record::Changed(id, vec![point(1, 0.5)])]).expect("it is stored");
    check("a value", &store, true);
    store.write_with(job, &[], &[Detail::Client(id, "c".into())]).expect("it is stored");
    check("a detail", &store, true);
    store.request("one", RequestKind::Cancel, "me", at(1)).expect("it is stored");
    check("a request", &store, true);
    store.set_labels("one", &BTreeMap::new(), None).expect("they are stored");
    check("labels", &store, true);
    store.write(job, &[Record::CancelDecided(at(2))]).expect("it is stored");
    check("a decision", &store, true);
    let other = store.job("other").expect("it reads").expect("it is there");
    assert_eq!((other.etag, other.changed_at), (Etag(0), Some(at(5))));
}

#[test]
fn labels_are_replaced_where_the_etag_is_that_of_the_job() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = Store::open(&directory.path().join("db")).expect("it opens");
    let labels = |key: &str| BTreeMap::from([(key.to_owned(), "a \"b\"".to_owned())]);
    let resource = Resource {
        config_format: ConfigFormat::VertexV1,
        owner: Some("projects/p/locations/l".into()),
        display_name: Some("a job".into()),
        labels: Some(labels("first")),
    };
    let stored = |store: &Store| store.job("one").expect("it reads").expect("it is there");
    store.create_job(&NewJob { resource: resource.clone(), ..new_job("one") }).expect("it is new");
    let read = stored(&store);
    assert_eq!(read.job.resource, resource);
    let etag = store.set_labels("one", &labels("second"), Some(read.etag)).expect("it has not changed");
    assert_eq!((stored(&store).job.resource.labels, stored(&store).etag), (Some(labels("second")), etag));
    let refused = store.set_labels("one", &labels("third"), Some(read.etag)).expect_err("it has changed");
    assert_eq!(refused.to_string(), format!("job `one` has changed: got etag {}, want {etag}", read.etag));
    assert_eq!(stored(&store).job.resource.labels, Some(labels("second")));
    store.set_labels("one", &BTreeMap::new(), None).expect("whatever its etag is");
    assert_eq!(stored(&store).job.resource.labels, Some(BTreeMap::new()));
    assert!(matches!(store.set_labels("none", &labels("a"), None), Err(StoreError::NoJob(_))));
    let named = |owner: &str, name: &str| store.named(owner, name).expect("it reads");
    assert_eq!(named("projects/p/locations/l", "a job").as_deref(), Some("one"));
    assert_eq!(named("projects/other/locations/l", "a job"), None);
}

#[test]
fn a_request_waits_until_the_decision_that_answers_it_is_stored() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("db");
    let mut store = Store::open(&path).expect("it opens");
    let job = store.create_job(&new_job("one")).expect("it is new");
    let trials = [TrialId::after(0), TrialId::after(1)];
    let suggested = trials.map(|trial| Record::Suggested(trial, Assignment::default()));
    store.write(job, &suggested).expect("it is stored");
    // Another process asks.
    let mut asking = Store::open(&path).expect("it opens");
    let mut ask = |kind, ms| asking.request("one", kind, "me@there", at(ms));
    assert_eq!(ask(RequestKind::StopTrial(trials[0]), 1).expect("it is stored"), State::Running);
    ask(RequestKind::StopTrial(trials[1]), 2).expect("it is stored");
    ask(RequestKind::StopTrial(trials[1]), 3).expect("it waits already");
    ask(RequestKind::Cancel, 4).expect("it is stored");
    let waiting = |store: &Store| -> Vec<(RequestKind, i64)> {
        let requests = store.requests(job).expect("they are read");
        assert!(requests.iter().all(|request| request.asked_by == "me@there"));
        requests.iter().map(|request| (request.kind, request.asked_at.as_millisecond())).collect()
    };
    let (first, second) = (RequestKind::StopTrial(trials[0]), RequestKind::StopTrial(trials[1]));
    assert_eq!(waiting(&store), [(first, 1), (second, 2), (RequestKind::Cancel, 4)]);
    let reason = StopReason::TimeLimit { ran_s: 1.0, limit_s: None };
    store.write(job, &[Record::StopDecided(trials[0], at(5), reason.into())]).expect("it is stored");
    assert_eq!(
        waiting(&store),
        [(second, 2), (RequestKind::Cancel, 4)],
        "another process's store reads the same"
    );
    store.write(job, &[Record::Ended(trials[1], at(6), Outcome::Succeeded)]).expect("it is stored");
    assert_eq!(waiting(&store), [(RequestKind::Cancel, 4)]);
    assert!(matches!(ask(second, 7), Err(StoreError::TrialOver { .. })));
    let unknown = RequestKind::StopTrial(TrialId::after(8));
    assert_eq!(ask(unknown, 7).expect_err("there is none").to_string(), "job `one` has no trial 9");
    store.write(job, &[Record::CancelDecided(at(8))]).expect("it is stored");
    assert_eq!(waiting(&store), []);
    ask(RequestKind::Cancel, 9).expect("it may still fail otherwise");
    let end = JobEnd { state: FinalState::Cancelled, message: None };
    store.write(job, &[Record::JobEnded(at(10), end)]).expect("it is stored");
    assert_eq!(waiting(&store), []);
    assert_eq!(
        ask(RequestKind::Cancel, 11).expect_err("it is over").to_string(),
        "job `one` is over: CANCELLED"
    );
}

#[test]
fn a_queued_job_is_taken_by_one_process_begun_and_cancelled() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("db");
    let mut store = Store::open(&path).expect("it opens");
    for name in ["first", "second", "third"] {
        store.queue_job(&new_job(name)).expect("it is new");
    }
    let stored = |store: &Store, id: &str| store.job(id).expect("it reads").expect("it is there");
    let first = stored(&store, "first");
    assert_eq!((first.state, first.started_at, first.is_over()), (State::Queued, None, false));
    assert_eq!(store.unfinished().expect("it reads"), Vec::<String>::new());
    let cancelled = store.request("second", RequestKind::Cancel, "me", at(6)).expect("it waits");
    assert_eq!(cancelled, State::Ended(FinalState::Cancelled), "nobody has to take it for that");
    assert_eq!(stored(&store, "second").ended_at, Some(at(6)));
    let (job, id) = store.take_queued().expect("it reads").expect("one waits");
    assert_eq!(id, "first");
    let mut other = Store::open(&path).expect("it opens");
    let (_, id) = other.take_queued().expect("it reads").expect("one waits");
    assert_eq!(
        (id.as_str(), other.take_queued().expect("it reads")),
        ("third", None),
        "this process holds both"
    );
    assert_eq!(stored(&store, "first").state, State::Preparing);
    store.hold(job).expect("it has it already");
    assert!(matches!(other.hold(job), Err(StoreError::Held { .. })));
    store.begin(job, at(7), Some(at(9))).expect("it is ours");
    let first = stored(&store, "first");
    assert_eq!((first.state, first.started_at), (State::Running, Some(at(7))));
    assert_eq!(first.job.deadline, Some(at(9)));
    let etag = first.etag;
    store.begin(job, at(8), None).expect("it runs already");
    assert_eq!((stored(&store, "first").started_at, stored(&store, "first").etag), (Some(at(7)), etag));
    // Its process is gone before the job has begun: the next one takes it.
    let gone = serde_json::to_string(&ProcessIdentity { start: 1, ..ProcessIdentity::own() })
        .expect("it is written");
    let connection = Connection::open(&path).expect("it opens");
    connection.execute("UPDATE job SET holder = ? WHERE id = 'third'", [gone]).expect("it is set");
    assert_eq!(store.take_queued().expect("it reads").map(|(_, id)| id).as_deref(), Some("third"));
}

#[test]
fn details_of_trials_and_studies_are_kept_with_what_they_are_about() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut store = Store::open(&directory.path().join("db")).expect("it opens");
    let job = store.create_job(&new_job("one")).expect("it is new");
    let id = TrialId::after(0);
    let reported = |step: i64, elapsed_s: Option<f64>| Reported {
        position: tfevents::series::Position::first_pass(Step(step)),
        elapsed_s,
        metrics: BTreeMap::from([("loss".to_owned(), f64::INFINITY), ("size".to_owned(), 0.1 + 0.2)]),
    };
    let metadata = |trial: Option<TrialId>, key: &str, value: MetadataValue| Metadata {
        trial,
        namespace: "a:b".into(),
        key: key.into(),
        value,
    };
    let of_study = metadata(None, "k", MetadataValue::Text("\u{0}text".into()));
    let of_trial = metadata(Some(id), "k", MetadataValue::Bytes(vec![0, 255]));
    let records = [
        Record::Suggested(id, Assignment::default()),
        Record::Changed(id, (1..4).map(|n| point(n, 0.5)).collect()),
    ];
    let details = [
        Detail::Client(id, "worker \"1\"".into()),
        Detail::Reported(id, reported(1, Some(0.25))),
        Detail::Reported(id, reported(2, None)),
        Detail::Reported(id, reported(3, Some(7.0))),
        Detail::Metadata(metadata(None, "k", MetadataValue::Text("replaced".into()))),
        Detail::Metadata(of_study.clone()),
        Detail::Metadata(of_trial.clone()),
    ];
    store.write_with(job, &records, &details).expect("it is stored");
    let read = store.details(job).expect("they are read");
    assert_eq!(read.clients, BTreeMap::from([(id, "worker \"1\"".to_owned())]));
    assert_eq!(read.metadata, [of_study, of_trial]);
    let all = [reported(1, Some(0.25)), reported(2, None), reported(3, Some(7.0))];
    assert_eq!(store.reported(job, id).expect("they are read"), all);
    let rewind = Change::Rewind(tfevents::series::Position::first_pass(Step(2)));
    store.write(job, &[Record::Changed(id, vec![rewind])]).expect("it is stored");
    assert_eq!(store.reported(job, id).expect("they are read"), all[..1], "what is void has no details");
    // Where the trial is not there nothing of all is stored.
    let missing = Detail::Reported(TrialId::after(8), reported(1, None));
    let both = [Detail::Client(id, "other".into()), missing];
    assert!(store.write_with(job, &[], &both).is_err());
    assert_eq!(store.details(job).expect("they are read").clients[&id], "worker \"1\"");
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
            .expect("it is written");
    }
    assert!(store.job("bad").expect("it reads").is_some());
}

#[test]
fn a_store_of_version_4_gets_what_sidecars_need() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("db");
    drop(Store::open(&path).expect("it opens"));
    let old = Connection::open(&path).expect("it opens");
    old.execute_batch("DROP INDEX decision_of_trial; DROP TABLE report; ALTER TABLE job DROP COLUMN max_trials; PRAGMA user_version = 4")
        .expect("it is made");
    drop(old);
    let mut store = Store::open(&path).expect("it opens");
    assert_eq!(store.upgraded().map(|upgraded| upgraded.from), Some(4));
    let job = store.create_job(&new_job("a")).expect("it is new");
    let report = NewReport { trial: TrialId::after(0), key: "k".into(), lines: "[]".into() };
    assert_eq!(store.add_reports(&[(job, report)], at(7)).expect("it writes"), 1);
}
