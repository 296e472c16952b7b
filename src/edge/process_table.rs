//! What the system tells of its processes (Linux, `/proc`; see proc(5)).

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use rustix::fs::{FileType, stat};
use rustix::time::{ClockId, clock_gettime};

use super::files::identify;
use super::host::shortage;
use crate::limits::MAX_COMMAND_SHOWN;
use tfevents::tail::FileId;

/// A process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) id: i32,
    pub(crate) parent: i32,
    pub(crate) group: i32,
    /// When it was started, in ticks since the machine was: with its number it names one process for good.
    pub(crate) start: u64,
    /// It has ended, and waits for its parent to ask how.
    pub(crate) is_zombie: bool,
    /// A signal stopped it, and it does nothing until another has it go on.
    pub(crate) is_stopped: bool,
}

/// All processes that can be seen.
///
/// # Errors
/// The host lacks what looking needs, such as file handles: nothing is known.
pub(crate) fn processes() -> io::Result<Vec<Process>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(id) = name.to_str().and_then(|name| name.parse().ok()) {
            processes.extend(process(id)?);
        }
    }
    Ok(processes)
}

/// One process, where it is there.
///
/// # Errors
/// As of [`processes`].
pub(crate) fn process(id: i32) -> io::Result<Option<Process>> {
    let stat = read(&format!("/proc/{id}/stat"))?;
    Ok(stat.and_then(|stat| parse(id, &String::from_utf8_lossy(&stat))))
}

/// What a file of a process holds; nothing where the process is gone or is not ours to look at.
fn read(path: &str) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if shortage(&e).is_some() => Err(e),
        Err(_) => Ok(None),
    }
}

/// Reads a line of `/proc/PID/stat`: behind the name, which may hold anything, come the state, the
/// parent and the group; the 20th of these fields is the start.
fn parse(id: i32, stat: &str) -> Option<Process> {
    let mut fields = stat.rsplit(')').next()?.split_whitespace();
    let state = fields.next()?;
    let (is_zombie, is_stopped) = (matches!(state, "Z" | "X"), state == "T");
    let (parent, group) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let start = fields.nth(16)?.parse().ok()?;
    Some(Process { id, parent, group, start, is_zombie, is_stopped })
}

/// What names this start of the machine; empty where it is not told.
pub(crate) fn boot_id() -> &'static str {
    static BOOT_ID: OnceLock<String> = OnceLock::new();
    BOOT_ID.get_or_init(|| {
        let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim().to_owned()
    })
}

/// The machine's name.
pub(crate) fn host_name() -> &'static str {
    static HOST_NAME: OnceLock<String> = OnceLock::new();
    HOST_NAME
        .get_or_init(|| fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned())
}

/// What names the space of process numbers that we are in, as containers have their own; empty where it is not told.
pub(crate) fn pid_namespace() -> &'static str {
    static PID_NAMESPACE: OnceLock<String> = OnceLock::new();
    PID_NAMESPACE.get_or_init(|| {
        fs::read_link("/proc/self/ns/pid").map(|path| path.display().to_string()).unwrap_or_default()
    })
}

/// Whether a process was started with this variable in its environment, as `NAME=VALUE`. One of
/// another user is not known to.
///
/// # Errors
/// As of [`processes`].
pub(crate) fn has_variable(process: i32, variable: &str) -> io::Result<bool> {
    let environment = read(&format!("/proc/{process}/environ"))?.unwrap_or_default();
    Ok(environment.split(|byte| *byte == 0).any(|entry| entry == variable.as_bytes()))
}

/// Whether a process has a variable in its environment that is set to something else than `value`.
pub(crate) fn has_other_value(process: i32, variable: &str, value: &str) -> bool {
    let environment = fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
    environment.split(|byte| *byte == 0).any(|entry| {
        let set = entry.strip_prefix(variable.as_bytes()).and_then(|rest| rest.strip_prefix(b"="));
        set.is_some_and(|set| set != value.as_bytes())
    })
}

/// The directory that a process runs in, without links.
pub(crate) fn working_directory(process: i32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/cwd")).ok()
}

/// The words of a process's command, with blanks between them and not longer than a line; `None` where it is gone.
pub(crate) fn command_line(process: i32) -> Option<String> {
    let words = fs::read(format!("/proc/{process}/cmdline")).ok()?;
    let words = String::from_utf8_lossy(&words);
    let words: Vec<&str> =
        words.split(|c: char| c == '\0' || c.is_control()).filter(|word| !word.is_empty()).collect();
    let line = words.join(" ");
    (!line.is_empty()).then(|| match line.char_indices().nth(MAX_COMMAND_SHOWN) {
        Some((end, _)) => line.get(..end).unwrap_or(&line).to_owned() + "…",
        None => line,
    })
}

/// The files of wanted paths that a process has open to write to. One that does not stand at its path any more is
/// none.
pub(crate) fn open_for_writing(process: i32, is_wanted: impl Fn(&Path) -> bool) -> Vec<(PathBuf, FileId)> {
    let handles = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    handles
        .filter_map(|handle| {
            let path = fs::read_link(handle.path()).ok().filter(|path| is_wanted(path))?;
            // The mode of the link is how the file was opened.
            let is_writing = handle.metadata().ok()?.permissions().mode() & 0o200 != 0;
            let (open, there) = (stat(handle.path()).ok()?, stat(&path).ok()?);
            let id = identify(&open);
            let is_file = FileType::from_raw_mode(open.st_mode).is_file() && id == identify(&there);
            (is_file && is_writing).then_some((path, id))
        })
        .collect()
}

/// What a variable was set to that a process has in its environment which has a file open and was started with
/// `mark`; `None` where there is no such process.
pub(crate) fn variable_of_writer(file: &Path, mark: &str, variable: &str) -> Option<String> {
    let file = file.canonicalize().ok()?;
    let has_open = |process: &Process| {
        let open = fs::read_dir(format!("/proc/{}/fd", process.id)).into_iter().flatten().flatten();
        open.filter_map(|entry| fs::read_link(entry.path()).ok()).any(|path| path == file)
    };
    let is_writer = |p: &Process| has_variable(p.id, mark).is_ok_and(|has| has) && has_open(p);
    let writer = processes().ok()?.into_iter().find(is_writer)?;
    let environment = fs::read(format!("/proc/{}/environ", writer.id)).ok()?;
    environment.split(|byte| *byte == 0).find_map(|entry| {
        let value = std::str::from_utf8(entry).ok()?.strip_prefix(variable)?.strip_prefix('=')?;
        Some(value.to_owned())
    })
}

/// The event files that processes have open to write to which were started with `mark`, or any, by process.
pub(crate) fn event_files_of(mark: Option<&str>) -> Vec<(Process, Vec<PathBuf>)> {
    let is_marked =
        |process: &Process| mark.is_none_or(|mark| has_variable(process.id, mark).is_ok_and(|has| has));
    let is_event_file = |path: &Path| path.to_string_lossy().contains("tfevents");
    let open = |process: Process| {
        let files = open_for_writing(process.id, is_event_file).into_iter().map(|(path, _)| path);
        (process, files.collect())
    };
    processes().unwrap_or_default().into_iter().filter(is_marked).map(open).collect()
}

/// When the machine was started, by the clock of today.
pub(crate) fn boot_time() -> Option<SystemTime> {
    let since = Duration::try_from(clock_gettime(ClockId::Boottime)).ok()?;
    SystemTime::now().checked_sub(since)
}

impl Process {
    /// When it was started, to a tick, where the machine was at `boot`.
    pub(crate) fn started(&self, boot: SystemTime) -> Option<SystemTime> {
        /// The ticks in which `/proc` counts, on every architecture (`USER_HZ`).
        const TICK_MS: u64 = 10;
        boot.checked_add(Duration::from_millis(TICK_MS.saturating_mul(self.start)))
    }
}

/// What the first of some variables in the environment of a process is set to, where that is a number.
pub(crate) fn number_in_environment(process: i32, variables: &[&str]) -> Option<u32> {
    let environment = fs::read(format!("/proc/{process}/environ")).ok()?;
    let environment = String::from_utf8_lossy(&environment);
    variables.iter().find_map(|variable| {
        let value = |entry: &str| entry.strip_prefix(variable)?.strip_prefix('=')?.parse().ok();
        environment.split('\0').find_map(value)
    })
}

/// Whether this program was started with a signal ignored, as `nohup` does with 1 (HUP) and shells do
/// with 2 (INT) for what they start in the background: then it is to stay ignored.
pub(crate) fn is_ignored(signal: u32) -> bool {
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
        let rest = "6 0 -1 4194560 160 0 0 0 1 2 3 4 20 0 1 0 5517 9584640 1111";
        let expected =
            Process { id: 7, parent: 3, group: 5, start: 5517, is_zombie: false, is_stopped: false };
        assert_eq!(parse(7, &format!("7 (a) Z (b)) S 3 5 {rest}")), Some(expected));
        assert_eq!(parse(7, &format!("7 (a) Z 3 5 {rest}")).map(|p| p.is_zombie), Some(true));
        assert_eq!(parse(7, &format!("7 (a) T 3 5 {rest}")).map(|p| p.is_stopped), Some(true));
        assert_eq!(parse(7, "7 (a"), None);
    }

    #[test]
    fn this_process_is_there() {
        let id = std::process::id().cast_signed();
        let found = processes().expect("they can be read").into_iter().find(|p| p.id == id);
        assert!(found.is_some_and(|p| !p.is_zombie));
        assert_eq!(process(id).expect("it can be read").map(|p| p.start), found.map(|p| p.start));
        let path = std::env::var("PATH").expect("it is set");
        assert!(has_variable(id, &format!("PATH={path}")).expect("it can be read"));
        assert!(!has_variable(id, "PATH=").expect("it can be read"));
    }
}
