//! What the system tells of its processes (Linux, `/proc`; see proc(5)).

use std::fs;

/// A process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) id: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// It has ended, and waits for its parent to ask how.
    pub(super) is_zombie: bool,
}

/// All processes that can be seen.
pub(super) fn processes() -> Vec<Process> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let id = entry.file_name().to_str()?.parse().ok()?;
            parse(id, &fs::read_to_string(entry.path().join("stat")).ok()?)
        })
        .collect()
}

/// Reads a line of `/proc/PID/stat`: behind the name, which may hold anything, come the state, the
/// parent, the group and the session.
fn parse(id: i32, stat: &str) -> Option<Process> {
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let is_zombie = matches!(fields.next()?, "Z" | "X");
    let mut number = || fields.next()?.parse().ok();
    Some(Process { id, parent: number()?, group: number()?, session: number()?, is_zombie })
}

/// Whether a process was started with this variable in its environment, as `NAME=VALUE`. One of
/// another user is not known to.
pub(super) fn has_variable(process: i32, variable: &str) -> bool {
    let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes())
}

/// Whether this program was started with a signal ignored, as `nohup` does with 1 (HUP) and shells do
/// with 2 (INT) for what they start in the background: then it is to stay ignored.
pub(super) fn is_ignored(signal: u32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    signal > 0 && mask >> (signal - 1) & 1 == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) Z (b)) S 3 5 6 0 -1 4194304";
        let expected = Process { id: 7, parent: 3, group: 5, session: 6, is_zombie: false };
        assert_eq!(parse(7, stat), Some(expected));
        assert_eq!(parse(7, "7 (a) Z 3 5 6").map(|p| p.is_zombie), Some(true));
        assert_eq!(parse(7, "7 (a"), None);
    }

    #[test]
    fn this_process_is_there() {
        let id = std::process::id().cast_signed();
        assert!(processes().iter().any(|p| p.id == id && !p.is_zombie));
        let path = std::env::var("PATH").expect("it is set");
        assert!(has_variable(id, &format!("PATH={path}")));
        assert!(!has_variable(id, "PATH="));
    }
}
