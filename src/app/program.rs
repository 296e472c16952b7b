//! Whether the program of a command can be started, and the line that works where it cannot.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{Failure, quoted};
use crate::edge::process::find_program;

/// What runs scripts, by the ends of their names.
const INTERPRETERS: [(&str, &str); 6] =
    [("py", "python3"), ("sh", "bash"), ("jl", "julia"), ("R", "Rscript"), ("js", "node"), ("pl", "perl")];

/// Checks that the program of a command, its first word, can be started. `before` is what stands before the command's `--`.
///
/// # Errors
/// It cannot; the hint is the line that works, where that can be told.
pub(super) fn check(command: &[String], before: &str) -> Result<(), Failure> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let found = match find_program(program) {
        Ok(path) if has_no_interpreter(&path) => {
            Err(format!("{program}: is a script whose first line names no interpreter (#!)"))
        }
        found => found.map(drop),
    };
    found.map_err(|e| {
        let failure = Failure::usage(format!("cannot run the command: {e}"));
        match remedy(program, arguments, before) {
            Some(remedy) => failure.with_hint(remedy),
            None => failure,
        }
    })
}

/// What to type instead of a command that cannot be started.
fn remedy(program: &str, arguments: &[String], before: &str) -> Option<String> {
    let line = |words: &[&str]| {
        let words = words.iter().map(|word| quoted(word)).chain(arguments.iter().map(|word| quoted(word)));
        format!("{before} -- {}", words.collect::<Vec<_>>().join(" "))
    };
    if program.starts_with('-') {
        return Some(format!(
            "that is an argument: the program comes first: {}",
            line(&["python3", "train.py", program])
        ));
    }
    let words: Vec<&str> = program.split_whitespace().collect();
    if let [first, _, ..] = &*words
        && !Path::new(program).exists()
        && find_program(first).is_ok()
    {
        return Some(format!("the quotes make one word of it; without them: {}", line(&words)));
    }
    let path = Path::new(program);
    if !path.is_file() {
        return None;
    }
    let end = path.extension().and_then(|end| end.to_str()).unwrap_or_default();
    match INTERPRETERS.iter().find(|(known, _)| *known == end) {
        Some((_, interpreter)) => Some(line(&[interpreter, program])),
        None if find_program(&format!("./{program}")).is_ok() => Some(line(&[&format!("./{program}")])),
        None => Some(format!("chmod +x {}", quoted(program))),
    }
}

/// Whether the system would refuse to run a file: text that begins with no `#!`.
fn has_no_interpreter(path: &Path) -> bool {
    let mut start = [0; 64];
    let n = File::open(path).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    let start = start.get(..n).unwrap_or_default();
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    !start.is_empty() && !start.starts_with(b"#!") && start.iter().all(is_text)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_cannot_be_started_is_answered_with_the_line_that_works() {
        let place = tempfile::tempdir().expect("a directory");
        let make = |name: &str, text: &str, mode: u32| {
            let path = place.path().join(name);
            fs::write(&path, text).expect("it is written");
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).expect("it is set");
            path.display().to_string()
        };
        #[track_caller]
        fn check_hint(command: &[&str], expected: Option<&str>) {
            let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
            let failure = check(&command, "hptune run c.yaml").expect_err("it cannot be started");
            assert_eq!(failure.hint.as_deref(), expected, "{failure}");
        }
        check_hint(
            &["sh train.sh", "--fast"],
            Some("the quotes make one word of it; without them: hptune run c.yaml -- sh train.sh --fast"),
        );
        check_hint(
            &["--epochs", "3"],
            Some(
                "that is an argument: the program comes first: hptune run c.yaml -- python3 train.py --epochs 3",
            ),
        );
        let script = make("train.py", "import sys\n", 0o644);
        check_hint(&[&script, "-x"], Some(&format!("hptune run c.yaml -- python3 {script} -x")));
        let script = make("ready.py", "import sys\n", 0o755);
        check_hint(&[&script], Some(&format!("hptune run c.yaml -- python3 {script}")));
        let script = make("train", "#!/bin/sh\n", 0o644);
        check_hint(&[&script], Some(&format!("chmod +x {script}")));
        check_hint(&["no-such-program-here"], None);
        let script = make("good", "#!/bin/sh\n", 0o755);
        assert!(check(&[script], "").is_ok());
        assert!(check(&["sh".to_owned()], "").is_ok());
    }
}
