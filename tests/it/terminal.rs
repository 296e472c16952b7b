//! What is seen on a terminal of any size: a real one, of `script`, whose screen is read back.

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::support::{PROGRAM, Place, config};

/// What a command line prints to a terminal of this size. `typed` is typed when its text has been printed.
fn printed(
    place: &Place,
    (rows, columns): (u16, u16),
    line: &str,
    mut typed: Option<(&str, &[u8])>,
) -> Vec<u8> {
    // What stands before the program's own words are variables of its environment.
    let (variables, words) = line.split_once("hptune ").expect("the program is named");
    let line = format!("stty rows {rows} cols {columns}; {variables} {PROGRAM} {words}");
    let mut child = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .current_dir(place.path())
        .env("HPTUNE_STORE", place.path().join("store.db"))
        .env("TERM", "xterm-256color")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script is of bsdutils, which every Debian has");
    let mut stdin = child.stdin.take().expect("it is piped");
    let mut stdout = child.stdout.take().expect("it is piped");
    let mut printed = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n @ 1..) = stdout.read(&mut buffer) {
        printed.extend_from_slice(&buffer[..n]);
        if let Some((_, keys)) = typed.take_if(|(at, _)| String::from_utf8_lossy(&printed).contains(*at)) {
            stdin.write_all(keys).expect("it is typed");
        }
    }
    child.wait().expect("it ends");
    assert!(typed.is_none(), "{}", String::from_utf8_lossy(&printed));
    printed
}

/// The lines of a terminal of this size when a command line has ended, those that scrolled out of it first.
fn shown(place: &Place, size: (u16, u16), line: &str, typed: Option<(&str, &[u8])>) -> Vec<String> {
    let (rows, columns) = size;
    let length = |n| std::num::NonZero::new(n).expect("it is not 0");
    let mut screen = vt100::Parser::new(length(rows), length(columns), 10_000);
    screen.process(&printed(place, size, line, typed));
    let mut lines = Vec::new();
    screen.screen_mut().set_scrollback(usize::MAX);
    let n_above = screen.screen().scrollback();
    for offset in (1..=n_above).rev() {
        screen.screen_mut().set_scrollback(offset);
        lines.extend(screen.screen().rows(0, columns).next());
    }
    screen.screen_mut().set_scrollback(0);
    lines.extend(screen.screen().rows(0, columns));
    let mut lines: Vec<String> = lines.iter().map(|line| line.trim_end().to_owned()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// The lines with what differs from run to run made the same.
fn steady(place: &Place, lines: &[String]) -> String {
    let place = place.path().display().to_string();
    let lines = lines.iter().map(|line| {
        let line = line.replace(&place, "PLACE");
        let mut words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        for i in 1..words.len() {
            if words[i] == "s" || words[i] == "s," {
                words[i - 1] = "N".to_owned();
            }
        }
        words.join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Three trials one after the other, of which the second fails; the third is best.
const TRAINER: &str = "mkdir -p out/$HPTUNE_TRIAL_ID && cp acc.tfevents out/$HPTUNE_TRIAL_ID/a.tfevents; \
                       [ $HPTUNE_TRIAL_ID != 2 ]";

fn place() -> Place {
    let text = config(3, "", "").replace(
        "maxValue: 1000}",
        "maxValue: 1000}\n    - {parameterName: rate, type: DOUBLE, minValue: 0.1, maxValue: 1}\n    \
         - {parameterName: code, type: CATEGORICAL, categoricalValues: [\"1e3\", \"007\", \"nan\"]}",
    );
    let place = Place::of_job(&text);
    place.write("train.sh", TRAINER);
    place
}

const RUN: &str = "hptune run c.yaml --job-id job --job-dir out -- sh train.sh";

#[test]
fn a_job_ends_with_its_best_trial_on_any_terminal() {
    for size in [(20, 60), (20, 80), (50, 120)] {
        let place = place();
        let lines = shown(&place, size, RUN, None);
        let text = steady(&place, &lines);
        assert!(lines.iter().all(|line| line.chars().count() <= usize::from(size.1)), "{text}");
        let last = "  code  ";
        let at = lines.iter().rposition(|line| line.starts_with(last)).unwrap_or_else(|| panic!("{text}"));
        // With its parameters there are the trials that are as good, the warning that all are alike, and where the files are.
        assert!(lines.len() - at < usize::from(size.0) - 5, "the best trial is on the screen: {text}");
        assert_eq!(text.matches("3/3 trials").count(), 1, "{text}");
        assert_eq!(text.matches("TRIAL").count(), 0, "no header is left behind: {text}");
        let failed =
            text.lines().find(|line| line.starts_with("    2  ")).unwrap_or_else(|| panic!("{text}"));
        assert!(failed.starts_with("    2  failed") && failed.contains("0.5"), "{text}");
    }
}

#[test]
fn ctrl_c_leaves_no_row_behind() {
    let place = place();
    place.write("train.sh", format!("{TRAINER}; echo ready; sleep 600"));
    let lines = shown(&place, (20, 80), RUN, Some(("0.5 ", b"\x03")));
    let text = steady(&place, &lines);
    assert_eq!(text.matches("    1  ").count(), 1, "{text}");
    assert!(text.contains("    1  cancelled"), "{text}");
    assert_eq!(text.matches("/3 trials").count(), 1, "{text}");
    assert!(!text.contains("^C"), "{text}");
}

#[test]
fn tables_that_are_too_wide_come_in_parts() {
    let place = place();
    shown(&place, (50, 120), RUN, None);
    let wide = steady(&place, &shown(&place, (50, 120), "hptune jobs describe job", None));
    assert!(
        wide.lines().any(|line| line.starts_with("TRIAL  RESULT") && line.ends_with("OUTCOME")),
        "{wide}"
    );
    let narrow = shown(&place, (50, 40), "hptune jobs describe job", None);
    let text = steady(&place, &narrow);
    assert!(narrow.iter().filter(|line| line.starts_with("TRIAL  ")).count() > 1, "{text}");
    assert!(narrow.iter().all(|line| line.chars().count() <= 40), "{text}");
    // A pipe gets a row a trial, whatever the terminal.
    let piped = place.run(&["jobs", "describe", "job"]);
    assert_eq!(piped.out.lines().filter(|line| line.contains("OUTCOME")).count(), 1, "{}", piped.out);
    assert!(!piped.out.contains('\x1b'));
}

#[test]
fn no_color_is_heeded() {
    let is_red = |line: &str| {
        let printed = printed(&place(), (20, 80), line, None);
        String::from_utf8_lossy(&printed).contains("\x1b[31m")
    };
    assert!(is_red(RUN));
    assert!(!is_red(&format!("NO_COLOR=1 {RUN}")));
}
