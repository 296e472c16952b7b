//! What can go wrong while event files are read.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::record::Damage;
use crate::tail::Foreign;

/// What went wrong in which file, and where.
///
/// Iterators give it as a value, and go on behind it: skip it, or stop at it.
#[derive(Debug)]
pub struct Error {
    path: PathBuf,
    kind: ErrorKind,
}

/// What went wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The system cannot open, list or read it. Where it was read, nothing more of it follows; another try may help. What
    /// [`crate::LogDir::scalars`] could not read has the system's words, under [`io::ErrorKind::Other`].
    Io(io::Error),
    /// A stretch gave no record or no event. What is intact behind it follows.
    Damage(Damage),
    /// It is no event file but something else. Nothing of it follows.
    Foreign(Foreign),
    /// Tags beyond those that are told apart ([`crate::limits::MAX_TAGS`]): so many values were left out.
    TooManyTags(u64),
}

impl Error {
    pub(crate) fn new(path: impl Into<PathBuf>, kind: ErrorKind) -> Self {
        Self { path: path.into(), kind }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The same, for whoever wants the system's error.
    #[must_use]
    pub fn into_kind(self) -> ErrorKind {
        self.kind
    }

    /// The file or directory; of a [`crate::LogDir`], below that.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where damage begins, in bytes from the start of the file.
    #[must_use]
    pub fn offset(&self) -> Option<u64> {
        match &self.kind {
            ErrorKind::Damage(damage) => Some(damage.offset),
            ErrorKind::Io(_) | ErrorKind::Foreign(_) | ErrorKind::TooManyTags(_) => None,
        }
    }

    /// Whether it is damage, behind which reading goes on.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(self.kind, ErrorKind::Damage(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.path.display())?;
        match &self.kind {
            ErrorKind::Io(error) => error.fmt(f),
            ErrorKind::Damage(damage) => damage.fmt(f),
            ErrorKind::Foreign(what) => write!(f, "no event file but {}", what.name),
            ErrorKind::TooManyTags(n) => write!(f, "{n} values under tags beyond those that are told apart"),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.kind {
            ErrorKind::Io(error) => Some(error),
            ErrorKind::Damage(_) | ErrorKind::Foreign(_) | ErrorKind::TooManyTags(_) => None,
        }
    }
}
