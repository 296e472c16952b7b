//! The copy of a database that is made before its schema is changed.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OpenFlags};

use super::schema::PrepareError;
use crate::limits::{MAX_STORE_COPIES, STORE_BUSY_TIMEOUT};

/// Copies the last committed state of the database at `path`, what is in its write-ahead log included, to a file
/// beside it: `hptune.db` of version 3 to `hptune.db.v3`, or where that is there `hptune.db.v3.2` and so on. The file
/// takes its name when it is complete and synced, and has the permissions of the database.
///
/// The caller holds the database's write lock.
///
/// # Errors
/// Errors of the database and of the file; then no file has the name, and a part of one may be left as
/// `hptune.db.v3.part`, which the next call removes.
pub(super) fn copy_beside(path: &Path, version: i64) -> Result<PathBuf, PrepareError> {
    let beside = |suffix: &str| {
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".v{version}{suffix}"));
        path.with_file_name(name)
    };
    let part = beside(".part");
    let fail = |error| PrepareError::Copy { copy: part.clone(), error };
    match fs::remove_file(&part) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(fail(e)),
        Ok(()) | Err(_) => {}
    }
    // SQLite fills an empty file: nobody else can read it meanwhile.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part).map_err(fail)?;
    fill(path, &part)?;
    let permissions = path.metadata().map_err(fail)?.permissions();
    file.set_permissions(permissions).and_then(|()| file.sync_all()).map_err(fail)?;
    let names = (1..=MAX_STORE_COPIES).map(|n| beside(&if n > 1 { format!(".{n}") } else { String::new() }));
    for copy in names {
        match fs::hard_link(&part, &copy) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            linked => {
                linked
                    .and_then(|()| fs::remove_file(&part))
                    .and_then(|()| sync_directory(path))
                    .map_err(fail)?;
                return Ok(copy);
            }
        }
    }
    Err(fail(io::ErrorKind::AlreadyExists.into()))
}

/// Writes the database at `path` to an empty file.
fn fill(path: &Path, part: &Path) -> rusqlite::Result<()> {
    // A connection of its own: the one that holds the lock is within a transaction.
    let source = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    source.busy_timeout(STORE_BUSY_TIMEOUT)?;
    let name = ToSqlOutput::Borrowed(ValueRef::Text(part.as_os_str().as_bytes()));
    source.execute("VACUUM INTO ?", [name]).map(drop)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    File::open(directory.unwrap_or(Path::new(".")))?.sync_all()
}
