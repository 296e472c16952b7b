//! The program without its features, as it goes beside a trainer into a container.

use std::fs;
use std::io::Read;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use crate::support::{PROGRAM, Place, WRITERS, golden_dir};

/// The most bytes that it may have.
const MAX_BYTES: u64 = 8 << 20;

fn sidecar() -> PathBuf {
    std::env::var_os("HPTUNE_SIDECAR").expect("HPTUNE_SIDECAR names the program without features").into()
}

/// The exit code of a program, what it prints, and what it says.
fn ran(program: impl Into<PathBuf>, place: &Place, arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(program.into())
        .args(arguments)
        .current_dir(place.path())
        .env("HPTUNE_STORE", place.path().join("store.db"))
        .output()
        .expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[test]
#[ignore = "needs the program without features in HPTUNE_SIDECAR"]
fn the_sidecar_is_small() {
    let n_bytes = fs::metadata(sidecar()).expect("it is there").len();
    assert!(n_bytes <= MAX_BYTES, "{n_bytes} bytes, want at most {MAX_BYTES}");
}

#[test]
#[ignore = "needs the program without features in HPTUNE_SIDECAR"]
fn the_sidecar_reads_and_delivers_as_the_whole_program_does() {
    let place = Place::new();
    for writer in WRITERS {
        let logs = golden_dir().join(writer).join("logs");
        let logs = logs.to_str().expect("UTF-8");
        for arguments in [
            vec!["inspect", logs, "--json"],
            vec!["doctor", logs, "--tag", "loss"],
            vec!["verify", logs],
            vec!["export", logs],
            vec!["watch", logs, "--once"],
        ] {
            let expected = ran(PROGRAM, &place, &arguments);
            assert_eq!(ran(sidecar(), &place, &arguments), expected, "{writer}: {arguments:?}");
            assert!(expected.0.is_some());
        }
        let (_, lines, _) = ran(PROGRAM, &place, &["watch", logs, "--once"]);
        let file = format!("file:{writer}.jsonl");
        assert_eq!(ran(sidecar(), &place, &["watch", logs, "--once", "--to", &file]).0, Some(0));
        assert_eq!(
            fs::read_to_string(place.path().join(format!("{writer}.jsonl"))).expect("it is there"),
            lines
        );
        let path = place.path().join(format!("{writer}.socket"));
        let listener = UnixListener::bind(&path).expect("it listens");
        let reading = thread::spawn(move || {
            let mut text = String::new();
            listener.accept().expect("it connects").0.read_to_string(&mut text).expect("it is text");
            text
        });
        let socket = format!("unix:{}", path.display());
        assert_eq!(ran(sidecar(), &place, &["watch", logs, "--once", "--to", &socket]).0, Some(0));
        assert_eq!(reading.join().expect("it reads"), lines);
    }
}

#[test]
#[ignore = "needs the program without features in HPTUNE_SIDECAR"]
fn what_the_sidecar_lacks_it_says() {
    let place = Place::new();
    let logs = golden_dir().join("tensorboardx/logs");
    let logs = logs.to_str().expect("UTF-8");
    #[track_caller]
    fn check(place: &Place, arguments: &[&str], expected: &str) {
        let (code, _, said) = ran(sidecar(), place, arguments);
        assert!(code != Some(0) && said.contains(expected), "{arguments:?}: {code:?}: {said}");
    }
    for verb in ["run", "demo", "tuner", "jobs"] {
        check(&place, &[verb, "config.yaml", "--help", "--", "train"], "the feature `jobs`");
    }
    check(&place, &["watch", "gs://bucket/logs", "--once"], "the feature `remote`");
    check(&place, &["watch", logs, "--once", "--to", "https://localhost/"], "the feature `web`");
    check(&place, &["watch", logs, "--once", "--status-addr", "127.0.0.1:0"], "the feature `web`");
    check(&place, &["export", logs, "-o", "points.parquet"], "the feature `parquet`");
    check(&place, &["plot", logs, "--tag", "metric1", "-o", "curves.svg"], "the feature `pictures`");
}
