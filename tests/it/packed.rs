//! Event files that are compressed, and other files with the name of one.

use std::fs;
use std::io::Write;
use std::process::Command;

use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use crate::support::{Place, WRITERS, event_file, golden_dir};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("no IO");
    encoder.finish().expect("no IO")
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("no IO");
    encoder.finish().expect("no IO")
}

/// Values of the tag `acc`: half as many as its steps.
fn values(n: usize) -> Vec<f32> {
    (0..n).map(|i| i as f32 / 2.0).collect()
}

#[test]
fn compressed_event_files_are_read_as_their_content() {
    let bytes = event_file(&values(300));
    let plain = Place::new();
    plain.write("x.tfevents.1", &bytes);
    let (first, second) = bytes.split_at(bytes.len() / 3);
    let members = [gzip(first), gzip(second)].concat();
    for (packed, name) in
        [(gzip(&bytes), "x.tfevents.1.gz"), (zlib(&bytes), "x.tfevents.1"), (members, "x.tfevents.1.gz")]
    {
        let place = Place::new();
        place.write(name, packed);
        for arguments in [
            &["export", "."][..],
            &["export", ".", "--wide"],
            &["export", ".", "--latest"],
            &["plot", "."],
            &["doctor", ".", "--tag", "acc"],
        ] {
            let (ran, expected) = (place.run(arguments), plain.run(arguments));
            assert_eq!((ran.code, &ran.out), (Some(0), &expected.out), "{arguments:?}: {}", ran.err);
            assert_eq!(ran.err, "");
        }
        let inspected = place.run(&["inspect", ".", "--json"]);
        assert!(inspected.code == Some(0) && inspected.out.contains("\"count\": 300"), "{}", inspected.out);
        let watched = place.run(&["watch", ".", "--once", "--tag", "acc"]);
        assert_eq!(watched.out.matches("\"value\"").count(), 300, "{}", watched.err);
        let verified = place.run(&["verify", name, "--repair", "good"]);
        assert!(verified.code == Some(0) && verified.out.contains("301 records"), "{}", verified.out);
        assert_eq!(fs::read(place.path().join("good")).expect("it is written"), bytes);
    }
}

#[test]
fn golden_directories_say_the_same_compressed() {
    for writer in WRITERS {
        let place = Place::new();
        let logs = golden_dir().join(writer).join("logs");
        let copied = Command::new("cp").arg("-r").arg(&logs).arg(place.path().join("logs")).status();
        assert!(copied.expect("cp runs").success());
        let plain = place.run(&["export", "logs"]);
        let packed = Command::new("gzip").arg("-r").arg(place.path().join("logs")).status();
        assert!(packed.expect("gzip runs").success());
        let ran = place.run(&["export", "logs"]);
        assert!(plain.out.lines().count() > 1, "{writer}");
        assert_eq!((ran.code, ran.out), (plain.code, plain.out), "{writer}");
        assert_eq!(place.run(&["verify", "logs", "--repair", "good"]).code, Some(0), "{writer}");
        let listed = |directory: &std::path::Path| {
            let listed =
                Command::new("find").args([".", "-name", "*tfevents*"]).current_dir(directory).output();
            let mut names: Vec<u8> = listed.expect("find runs").stdout;
            names.sort_unstable();
            names
        };
        assert_eq!(listed(&place.path().join("good")), listed(&logs), "{writer}");
    }
}

#[test]
fn a_compressed_file_that_ends_early_gives_what_is_there_and_says_so() {
    let place = Place::new();
    let packed = gzip(&event_file(&values(3_000)));
    place.write("x.tfevents.1.gz", &packed[..packed.len() / 2]);
    let ran = place.run(&["export", "."]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let n_points = ran.out.lines().count() - 1;
    assert!((500..2_900).contains(&n_points), "{n_points}");
    assert!(ran.err.contains("note: x.tfevents.1.gz: the compressed data ends early"), "{}", ran.err);
    let ran = place.run(&["inspect", "."]);
    assert!(
        ran.code == Some(0)
            && ran.out.contains("unfinished: x.tfevents.1.gz: the compressed data ends early"),
        "{}",
        ran.out
    );
    let ran = place.run(&["verify", "x.tfevents.1.gz", "--repair", "good"]);
    assert!(ran.code == Some(1) && ran.out.contains("the compressed data ends early"), "{}", ran.out);
    let repaired = place.run(&["export", "good"]);
    assert_eq!(repaired.out.lines().count() - 1, n_points, "{}", repaired.err);
    // Damage inside it, which nothing behind can be read of.
    let mut damaged = packed;
    let middle = damaged.len() / 2;
    damaged[middle..middle + 40].fill(0xff);
    place.write("x.tfevents.1.gz", damaged);
    let ran = place.run(&["inspect", "."]);
    assert!(ran.code == Some(1) && ran.out.contains("bad-compression"), "{}", ran.out);
    let ran = place.run(&["export", "."]);
    assert!(ran.code == Some(1) && ran.err.contains("warning: the files are damaged in "), "{}", ran.err);
    assert!(ran.out.lines().count() > 500);
}

#[test]
fn a_compressed_copy_beside_its_file_is_left_out() {
    let place = Place::new();
    let bytes = event_file(&[0.25, 0.5]);
    place.write("x.tfevents.1", &bytes);
    let alone = place.run(&["export", "."]).out;
    place.write("x.tfevents.1.gz", gzip(&bytes));
    assert_eq!(place.run(&["export", "."]).out, alone);
    assert_eq!(place.run(&["watch", ".", "--once"]).out.matches("\"value\"").count(), 2);
}

#[test]
fn files_of_other_kinds_are_named_as_what_they_are_and_not_damaged() {
    let place = Place::new();
    place.write("x.tfevents.1.zip", b"PK\x03\x04\x14\0\0\0\x08\0");
    let told = "x.tfevents.1.zip: is no event file but a zip archive, and left out; unpack it first: unzip x.tfevents.1.zip";
    let shown = place.run(&["inspect", "."]);
    assert!(shown.code == Some(1) && shown.out.contains(told), "{}", shown.out);
    let found = place.run(&["doctor", ".", "--tag", "acc"]);
    assert!(found.code == Some(1) && found.out.contains(told), "{}", found.out);
    let export = place.run(&["export", "."]);
    assert!(export.code == Some(1) && export.err.contains(told), "{}", export.err);
    let plot = place.run(&["plot", "."]);
    assert!(plot.code == Some(1) && plot.err.contains(told), "{}", plot.err);
    let verified = place.run(&["verify", "."]);
    assert!(verified.out.contains(told), "{}", verified.out);
    for shown in [&shown, &found, &export, &plot, &verified] {
        assert!(!(shown.out.contains("damage") || shown.err.contains("damage")), "{shown:?}");
    }
    // Beside event files it is only said.
    place.write("x.tfevents.1", event_file(&[0.5]));
    for arguments in [&["inspect", "."][..], &["export", "."], &["plot", "."], &["watch", ".", "--once"]] {
        let ran = place.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}", ran.err);
        assert!(ran.out.contains(told) || ran.err.contains(told), "{arguments:?}: {ran:?}");
    }
}

#[test]
fn a_file_that_is_named_itself_is_read_or_said_what_it_is() {
    let place = Place::new();
    place.write("log.bin", event_file(&[0.25, 0.5]));
    let ran = place.run(&["export", "log.bin"]);
    assert!(ran.code == Some(0) && ran.out.lines().count() == 3, "{}{}", ran.out, ran.err);
    assert!(place.run(&["verify", "log.bin"]).out.contains("3 records"));
    #[track_caller]
    fn check(place: &Place, name: &str, content: &[u8], expected: &str) {
        place.write(name, content);
        for verb in ["inspect", "doctor", "export", "plot", "verify"] {
            let ran = place.run(&[verb, name]);
            assert_ne!(ran.code, Some(0), "{verb} {name}");
            let said = [ran.out, ran.err].concat();
            assert!(said.contains(&format!("{name}: is no event file but {expected}")), "{verb}: {said}");
            assert!(!said.contains("damage"), "{verb}: {said}");
        }
    }
    check(&place, "a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a PNG image");
    check(&place, "log.txt", b"epoch 1: loss 0.5\n", "text");
    check(&place, "m.h5", b"\x89HDF\r\n\x1a\n\0\0", "an HDF5 file");
    check(&place, "checkpoint", b"model_checkpoint_path: \"m-1\"\n", "a TensorFlow checkpoint");
    check(&place, "a.pkl", b"\x80\x04\x95\x05\0\0\0\0\0\0\0", "a pickled Python object");
    check(&place, "m.json", b"{\"a\": 1}", "JSON text");
    check(&place, "s.db", b"SQLite format 3\0\x10\0", "a SQLite database");
    check(
        &place,
        "x.zst",
        b"\x28\xb5\x2f\xfd\x04\x58",
        "a zstd file, and left out; unpack it first: zstd -d x.zst",
    );
    check(&place, "x.bz2", b"BZh91AY&SY", "a bzip2 file");
    check(&place, "x.xz", b"\xfd7zXZ\0\0\x04", "an xz file");
}

#[test]
fn event_files_without_the_name_are_found_by_what_they_hold_and_said_how_to_read() {
    let place = Place::new();
    fs::create_dir(place.path().join("logs")).expect("it is made");
    place.write("logs/a.log", event_file(&[0.5]));
    place.write("logs/b c.log", gzip(&event_file(&[0.75])));
    place.write("logs/notes.txt", "text");
    for verb in ["inspect", "export", "plot", "verify", "doctor"] {
        let ran = place.run(&[verb, "logs"]);
        assert_eq!(ran.code, Some(1), "{verb}: {}", ran.err);
        let said = [ran.out, ran.err].concat();
        let told = format!(
            "2 files are event files without `tfevents` in their names; a file that is named itself is read: \
             hptune {verb} logs/a.log 'logs/b c.log'"
        );
        assert!(said.contains(&told), "{verb}: {said}");
    }
    let ran = place.run(&["export", "logs/a.log", "logs/b c.log"]);
    assert!(ran.code == Some(0) && ran.out.lines().count() == 3, "{}{}", ran.out, ran.err);
    let ran = place.run(&["doctor", "logs/a.log", "logs/b c.log", "--tag", "acc"]);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
}
