//! Files that verbs write, and files that they cannot read or write: what is replaced, and which exit code that has.

use std::fs;

use crate::support::{Place, event_file};

#[test]
fn what_is_there_is_replaced_only_with_force() {
    let place = Place::new();
    place.write("acc.tfevents", event_file(&[0.5]));
    for (verb, name) in
        [("export", "out.csv"), ("plot", "out.html"), ("plot", "out.svg"), ("export", "out.parquet")]
    {
        place.write(name, "mine");
        let refused = place.run(&[verb, ".", "-o", name]);
        assert_eq!(refused.code, Some(2), "{}", refused.err);
        assert!(
            refused.err.contains("is there already\n  hint: name another file, or replace it with --force"),
            "{}",
            refused.err
        );
        assert_eq!(fs::read(place.path().join(name)).expect("it is there"), b"mine");
        let forced = place.run(&[verb, ".", "-o", name, "--force"]);
        assert_eq!(forced.code, Some(0), "{}", forced.err);
        assert_ne!(fs::read(place.path().join(name)).expect("it is there"), b"mine");
    }
    place.write("good.tfevents", "mine");
    let refused = place.run(&["verify", "acc.tfevents", "--repair", "good.tfevents"]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
    // What goes to stdout replaces nothing.
    assert_eq!(place.run(&["export", ".", "--force"]).code, Some(2));
}

#[test]
fn what_cannot_be_written_or_read_has_its_exit_code() {
    let place = Place::new();
    place.write("acc.tfevents", event_file(&[0.5]));
    fs::create_dir(place.path().join("directory.csv")).expect("it is made");
    #[track_caller]
    fn check(place: &Place, arguments: &[&str], code: i32, expected: &str) {
        let ran = place.run(arguments);
        assert_eq!(ran.code, Some(code), "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(expected), "{arguments:?}: {}", ran.err);
    }
    for verb in [&["inspect"][..], &["doctor"], &["export"], &["plot"], &["verify"]] {
        check(&place, &[verb, &["absent"]].concat(), 2, "absent: No such file or directory");
        check(&place, &[verb, &["acc.tfevents/x"]].concat(), 2, "acc.tfevents/x: Not a directory");
        check(&place, &[verb, &["/proc/self/mem"]].concat(), if verb == ["doctor"] { 1 } else { 3 }, "");
    }
    check(&place, &["export", ".", "-o", "directory.csv"], 2, "directory.csv: is a directory");
    check(
        &place,
        &["export", ".", "-o", "absent/out.csv"],
        2,
        "hint: want the name of a file, in a directory that is there",
    );
    check(&place, &["export", ".", "-o", "/proc/out.csv"], 2, "/proc/out.csv");
    check(&place, &["plot", ".", "-o", "absent/out.html"], 2, "hint: want the name of a file");
    check(
        &place,
        &["export", ".", "--format", "csv", "-o", "/dev/full"],
        3,
        "/dev/full: No space left on device",
    );
    check(&place, &["export", ".", "--format", "parquet", "-o", "/dev/full"], 3, "No space left on device");
    check(
        &place,
        &["export", ".", "-o", "/dev/full"],
        2,
        "want a name that ends in .csv, .jsonl or .parquet",
    );
}

#[test]
fn stdout_that_is_full_has_its_exit_code() {
    let place = Place::new();
    place.write("acc.tfevents", event_file(&[0.5]));
    for verb in [&["inspect"][..], &["doctor", "--tag", "acc"], &["export"], &["plot"], &["verify"]] {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").expect("it opens");
        let mut command = place.command(&[verb, &["."]].concat());
        let status = command.stdout(full).stderr(std::process::Stdio::null()).status().expect("it runs");
        assert_eq!(status.code(), Some(3), "{verb:?}");
    }
}

#[test]
fn brackets_that_find_nothing_are_told_how_they_are_meant_as_characters() {
    let place = Place::new();
    place.write("acc.tfevents", event_file(&[0.5]));
    let ran = place.run(&["export", ".", "--tag", "*[0]"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("where brackets are meant: --tag '*[[]0[]]'"), "{}", ran.err);
    let ran = place.run(&["plot", ".", "--run", "lr=[0.1]"]);
    assert!(ran.err.contains("where brackets are meant: --run 'lr=[[]0.1[]]'"), "{}", ran.err);
    let ran = place.run(&["export", ".", "--tag", "acc[0"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("hint: where brackets are meant as characters: 'acc[[]0'"), "{}", ran.err);
}
