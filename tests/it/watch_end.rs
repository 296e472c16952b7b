//! How `watch` ends: with a reader that takes its time, by signals, beside another watcher.

use std::io::Read;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Place, event_file_at};

const LONG: Duration = Duration::from_secs(60);

/// A directory with more lines than a pipe holds.
fn many(n: i64) -> Place {
    let place = Place::new();
    let points: Vec<(i64, f32)> = (0..n).map(|step| (step, 0.5)).collect();
    place.write("x.tfevents.1", event_file_at(&points));
    place
}

/// A watcher whose output is read by hand.
struct Piped {
    child: Child,
    out: ChildStdout,
}

impl Piped {
    /// It has written something when this returns.
    fn start(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts");
        let mut out = child.stdout.take().expect("it is piped");
        out.read_exact(&mut [0]).expect("it writes");
        Self { child, out }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill runs").success());
    }

    /// Sends a signal again and again until it ends; the answer is its exit code.
    fn signal_to_the_end(&mut self, name: &str) -> Option<i32> {
        let give_up = Instant::now() + LONG;
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return status.code();
            }
            assert!(Instant::now() < give_up, "it does not end");
            self.signal(name);
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Piped {
    fn drop(&mut self) {
        // It has ended already where a test got to its end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn once_is_patient_with_a_reader_that_takes_lines_slowly() {
    let n = 40_000;
    let place = many(n);
    let mut watching = Piped::start(place.command(&["watch", ".", "--once", "--grace", "1s"]));
    let (mut text, mut buffer) = (String::from("{"), vec![0; 64 << 10]);
    let start = Instant::now();
    loop {
        thread::sleep(Duration::from_millis(80));
        match watching.out.read(&mut buffer).expect("it is readable") {
            0 => break,
            n => text.push_str(std::str::from_utf8(&buffer[..n]).expect("ASCII")),
        }
    }
    assert_eq!(watching.child.wait().expect("it ends").code(), Some(0));
    assert!(start.elapsed() > Duration::from_secs(3), "it takes longer than three times the grace");
    assert_eq!(text.matches("\"kind\":\"point\"").count(), n as usize);
    assert!(text.ends_with("}\n") && text.contains("\"kind\":\"end\""));
}

#[test]
fn a_signal_ends_once_though_nobody_reads() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let place = many(20_000);
        let mut watching = Piped::start(place.command(&["watch", ".", "--once", "--grace", "3600s"]));
        watching.signal(signal);
        assert_eq!(watching.child.wait().expect("it ends").code(), Some(code));
    }
}

#[test]
fn a_second_signal_ends_a_watcher_on_a_stuck_pipe_at_once() {
    let place = many(20_000);
    let mut watching = Piped::start(place.command(&["watch", ".", "--grace", "3600s"]));
    assert_eq!(watching.signal_to_the_end("INT"), Some(130));
}

#[test]
fn two_watchers_do_not_share_a_state() {
    let place = many(10);
    let _first = Piped::start(place.command(&["watch", ".", "--state", "s"]));
    let second = place.run(&["watch", ".", "--once", "--state", "s"]);
    assert_eq!(second.code, Some(3), "{}", second.err);
    assert!(second.err.contains("--state s: another process"), "{}", second.err);
    assert_eq!(second.out, "");
}
