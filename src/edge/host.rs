//! What a host lacks for a while: room on a disk, file handles, processes. A trial that cannot be started for want of
//! these is started later.

use std::fmt;
use std::fs;
use std::io;
use std::sync::OnceLock;

use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What the host lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortage {
    /// File handles, of this process or of the whole system.
    Handles,
    /// Anything else that others may give back: room on a disk, memory, processes, an answer of a file server.
    Other,
}

/// Why something could not be done.
#[derive(Debug)]
pub struct HostError {
    /// In words.
    pub text: String,
    /// What the host lacks for it, if that is why: the same may succeed later.
    pub shortage: Option<Shortage>,
}

impl HostError {
    /// With where it happened before the system's words.
    #[must_use]
    pub fn at(place: impl fmt::Display, error: &io::Error) -> Self {
        Self { text: format!("{place}: {error}"), shortage: shortage(error) }
    }
}

impl From<io::Error> for HostError {
    fn from(error: io::Error) -> Self {
        Self { text: error.to_string(), shortage: shortage(&error) }
    }
}

impl fmt::Display for HostError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What the host lacks where the system gave this error, if it lacks anything.
pub(crate) fn shortage(error: &io::Error) -> Option<Shortage> {
    match Errno::from_io_error(error)? {
        Errno::MFILE | Errno::NFILE => Some(Shortage::Handles),
        Errno::NOSPC
        | Errno::DQUOT
        | Errno::NOMEM
        | Errno::AGAIN
        | Errno::NOBUFS
        | Errno::STALE
        | Errno::TIMEDOUT
        | Errno::NOLCK => Some(Shortage::Other),
        _ => None,
    }
}

/// Whether the host has so many file handles left for this process.
///
/// # Errors
/// It has not.
pub fn check_handles(n: u64) -> io::Result<()> {
    let n_open = fs::read_dir("/proc/self/fd")?.count() as u64;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit.saturating_sub(n_open) < n => Err(Errno::MFILE.into()),
        _ => Ok(()),
    }
}

/// Lets this process have as many file handles as it may ever have. The answer is how many it had, where that
/// changed: what it starts is to have no more, for some programs cannot work with many. It is the same answer for each of
/// several jobs in one process.
pub fn raise_handle_limit() -> Option<u64> {
    static BEFORE: OnceLock<Option<u64>> = OnceLock::new();
    *BEFORE.get_or_init(|| {
        let limit = getrlimit(Resource::Nofile);
        if limit.current == limit.maximum {
            return None;
        }
        setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).ok()?;
        limit.current
    })
}

/// Lets this process, and what it starts, have so many file handles again.
pub fn lower_handle_limit(current: u64) {
    let limit = getrlimit(Resource::Nofile);
    // It is no more than what it has: that is always granted.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(current), ..limit });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_job_of_a_process_learns_what_limit_it_had() {
        let limit = getrlimit(Resource::Nofile);
        // One handle less than it may have: there is something to raise.
        let Some(lower) = limit.maximum.map(|maximum| maximum - 1) else { return };
        setrlimit(Resource::Nofile, Rlimit { current: Some(lower), ..limit }).expect("it is lowered");
        assert_eq!([raise_handle_limit(), raise_handle_limit()], [Some(lower); 2]);
    }

    #[test]
    fn what_may_come_back_is_told_from_what_stays_wrong() {
        #[track_caller]
        fn check(errno: Errno, expected: Option<Shortage>) {
            assert_eq!(HostError::at("out/1", &errno.into()).shortage, expected);
            assert_eq!(HostError::from(io::Error::from(errno)).shortage, expected);
        }
        check(Errno::MFILE, Some(Shortage::Handles));
        check(Errno::NOSPC, Some(Shortage::Other));
        check(Errno::AGAIN, Some(Shortage::Other));
        check(Errno::NOENT, None);
        check(Errno::ACCESS, None);
    }

    #[test]
    fn handles_are_counted() {
        assert!(check_handles(1).is_ok());
        let error = check_handles(u64::MAX).expect_err("nobody has so many");
        assert_eq!(HostError::from(error).shortage, Some(Shortage::Handles));
    }
}
