//! Which file stands at a path, and how long it is.

use std::fs::{DirEntry, File, Metadata};
use std::io;
use std::path::Path;

use crate::tail::FileId;

/// What the system says of a file or a directory.
#[derive(Debug)]
pub(super) struct Stat {
    pub(super) metadata: Metadata,
    /// The same after the file is renamed, another one for a file that replaces it. On Windows file systems that do not
    /// number their files it is that of the path.
    pub(super) id: FileId,
}

#[cfg(unix)]
impl Stat {
    /// Of what is at a path, links followed.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        path.metadata().map(Self::new)
    }

    /// Of an entry of a directory that is no link.
    pub(super) fn of_entry(entry: &DirEntry) -> io::Result<Self> {
        entry.metadata().map(Self::new)
    }

    /// Of a file that was opened at a path.
    pub(super) fn of_file(_path: &Path, file: &File) -> io::Result<Self> {
        file.metadata().map(Self::new)
    }

    fn new(metadata: Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        let id = FileId { device: metadata.dev(), inode: metadata.ino() };
        Self { metadata, id }
    }
}

/// `FILE_FLAG_BACKUP_SEMANTICS`: directories can be opened too.
#[cfg(windows)]
const BACKUP_SEMANTICS: u32 = 0x0200_0000;

#[cfg(windows)]
impl Stat {
    /// Of what is at a path, links followed.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        use std::fs::OpenOptions;
        use std::os::windows::fs::OpenOptionsExt;
        // No access is enough to query a file, and never conflicts with how others opened it.
        let file = OpenOptions::new().access_mode(0).custom_flags(BACKUP_SEMANTICS).open(path)?;
        Self::of_file(path, &file)
    }

    /// Of an entry of a directory that is no link. The entry itself shows the length that the file had when it was last
    /// closed, so that a file that grows would seem not to.
    pub(super) fn of_entry(entry: &DirEntry) -> io::Result<Self> {
        Self::at(&entry.path())
    }

    /// Of a file that was opened at a path.
    pub(super) fn of_file(path: &Path, file: &File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let information = winapi_util::file::information(file)?;
        let inode = match information.file_index() {
            // By [MS-FSCC] 2.1.9, 64-bit file ID, what a file system gives that has no such number.
            0 | u64::MAX => hash(path),
            index => index,
        };
        Ok(Self { metadata, id: FileId { device: information.volume_serial_number(), inode } })
    }
}

#[cfg(windows)]
fn hash(path: &Path) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    path.hash(&mut hasher);
    hasher.finish()
}
