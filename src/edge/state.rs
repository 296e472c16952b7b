//! How far the sinks of `watch` have come, in a file: there whole or not at all.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::output::Output;
use crate::limits::{MAX_STATE_BYTES, STATE_INTERVAL, STATE_SHARE};

/// The version of the format. In version 1 restarts within a file were not told apart; it is read as it is.
const VERSION: u32 = 2;

/// A file with a `T` for each of several names, which threads share.
#[derive(Debug)]
pub struct StateFile<T> {
    path: PathBuf,
    inner: Mutex<Inner<T>>,
}

#[derive(Debug)]
struct Inner<T> {
    stored: Stored<T>,
    /// The file as it was read or written last, locked: who else opens it is refused.
    held: Option<File>,
    /// When it may be written again.
    rest_until: Option<Instant>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored<T> {
    version: u32,
    /// What it is about: another is not gone on with.
    subject: String,
    parts: BTreeMap<String, T>,
}

/// Why a text is no state. What serde says of values is in words of the program's own types.
fn no_state(error: &serde_json::Error) -> String {
    if error.is_data() {
        let (line, column) = (error.line(), error.column());
        return format!("this is no state of watch: line {line}, column {column} is none of what it holds");
    }
    format!("this is no state of watch: {error}")
}

impl<T: Serialize + DeserializeOwned + Clone> StateFile<T> {
    /// Opens the state of `subject`, which may not be there yet. As long as this lives, no other process opens it.
    ///
    /// # Errors
    /// Errors of reading; that it is of another version, of another subject, or no state at all;
    /// [`io::ErrorKind::ResourceBusy`] where another process has it open.
    pub fn open(path: &Path, subject: &str) -> io::Result<Self> {
        let bad = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        let held = hold(path, || {
            let none = Stored::<T> { version: VERSION, subject: subject.to_owned(), parts: BTreeMap::new() };
            serde_json::to_string(&none).map_err(io::Error::other)
        })?;
        let stored = match &held {
            // It cannot be made. What is wrong is told when there is something to store.
            None => Stored { version: VERSION, subject: subject.to_owned(), parts: BTreeMap::new() },
            Some(file) => {
                let mut text = String::new();
                file.take(MAX_STATE_BYTES).read_to_string(&mut text)?;
                let version: Version = serde_json::from_str(&text).map_err(|e| bad(no_state(&e)))?;
                if !(1..=VERSION).contains(&version.version) {
                    return Err(bad(format!("got a state of version {}, want {VERSION}", version.version)));
                }
                let mut stored: Stored<T> = serde_json::from_str(&text).map_err(|e| bad(no_state(&e)))?;
                stored.version = VERSION;
                if stored.subject != subject {
                    return Err(bad(format!("this is the state of {}, not of {subject}", stored.subject)));
                }
                stored
            }
        };
        Ok(Self { path: path.to_owned(), inner: Mutex::new(Inner { stored, held, rest_until: None }) })
    }

    /// What is stored under `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<T> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).stored.parts.get(name).cloned()
    }

    /// Whether it is time to store again.
    #[must_use]
    pub fn is_due(&self) -> bool {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.rest_until.is_none_or(|until| Instant::now() >= until)
    }

    /// Stores `part` under `name`, durably.
    ///
    /// # Errors
    /// Errors of writing; what was stored before is untouched then.
    pub fn put(&self, name: &str, part: T) -> io::Result<()> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        inner.stored.parts.insert(name.to_owned(), part);
        let text = serde_json::to_string(&inner.stored).map_err(io::Error::other)?;
        let mut output = Output::replacing(&self.path)?;
        output.write_all(text.as_bytes())?;
        // Locked before it takes its place: nobody else gets in between.
        let held = output.handle()?;
        let _ = held.try_lock();
        output.finish()?;
        inner.held = Some(held);
        let took: Duration = started.elapsed();
        inner.rest_until = Some(Instant::now() + (took * STATE_SHARE).max(STATE_INTERVAL));
        Ok(())
    }
}

/// Opens the file at `path` and locks it, and makes it with the text that `first` gives where there is none.
fn hold(path: &Path, first: impl Fn() -> io::Result<String>) -> io::Result<Option<File>> {
    loop {
        let file = match File::open(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                match Output::create(path, first()?.as_bytes()) {
                    // A link that leads nowhere is not made anew; what is stored takes its place.
                    Ok(false) if path.is_symlink() => return Ok(None),
                    Ok(_) => continue,
                    Err(_) => return Ok(None),
                }
            }
            file => file?,
        };
        // Some file systems know no locks.
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            let words = "another process keeps its state there; give each watcher a file of its own";
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, words));
        }
        // Who had it open until now may have put another in its place.
        let (named, held) = (fs::metadata(path)?, file.metadata()?);
        if (named.dev(), named.ino()) == (held.dev(), held.ino()) {
            return Ok(Some(file));
        }
    }
}

#[derive(Deserialize)]
struct Version {
    version: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_has_one_watcher_at_a_time() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        let open = || StateFile::<u32>::open(&path, "a");
        let state = open().expect("it opens");
        let is_refused = || open().is_err_and(|e| e.kind() == io::ErrorKind::ResourceBusy);
        assert!(is_refused());
        state.put("x", 7).expect("it is stored");
        assert!(is_refused(), "so it is when the file was replaced");
        drop(state);
        assert_eq!(open().expect("it opens").get("x"), Some(7));
    }

    #[test]
    fn a_link_that_leads_nowhere_is_replaced_by_what_is_stored() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        std::os::unix::fs::symlink("nowhere", &path).expect("it is made");
        let state = StateFile::<u32>::open(&path, "a").expect("it opens");
        state.put("x", 7).expect("it is stored");
        drop(state);
        assert_eq!(StateFile::<u32>::open(&path, "a").expect("it opens").get("x"), Some(7));
    }

    #[test]
    fn a_state_is_read_as_it_was_stored_and_another_s_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("state");
        let state = StateFile::<u32>::open(&path, "a").expect("it opens");
        assert_eq!(state.get("x"), None);
        state.put("x", 7).expect("it is stored");
        state.put("y", 8).expect("it is stored");
        assert!(!state.is_due());
        drop(state);
        let again = StateFile::<u32>::open(&path, "a").expect("it opens");
        assert_eq!((again.get("x"), again.get("y")), (Some(7), Some(8)));
        drop(again);
        fs::write(&path, r#"{"version":1,"subject":"a","parts":{"x":3}}"#).expect("it is written");
        assert_eq!(StateFile::<u32>::open(&path, "a").expect("it opens").get("x"), Some(3));
        let error = |text: Option<&str>, subject| {
            if let Some(text) = text {
                fs::write(&path, text).expect("it is written");
            }
            StateFile::<u32>::open(&path, subject).expect_err("it is refused").to_string()
        };
        assert!(error(None, "b").contains("the state of a, not of b"));
        assert!(error(Some(r#"{"version":9}"#), "a").contains("version 9"));
        assert!(error(Some("{}"), "a").contains("no state of watch"));
    }
}
