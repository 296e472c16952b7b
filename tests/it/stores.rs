//! Database files that are no store, or not yet one.

use rusqlite::Connection;

use crate::support::{Place, Ran, config};

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
