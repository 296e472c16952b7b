//! Files that verbs write where their user says: `-o FILE`. What stands there is replaced only where that is asked for.
//!
//! Part of [`crate::cli`].

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;

use super::args::TableFormat;
use super::printer::Printer;
use crate::app::Failure;
use crate::edge::output::Output;
use crate::export::{ExportError, Format};
use crate::limits::EXPORT_BUFFER_BYTES;

/// Whether what stands at the place of an output is replaced.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Replacing {
    /// Replace FILE if it is there
    #[arg(long, requires = "output")]
    pub(super) force: bool,
}

/// A file that takes its place when all is written.
pub(super) struct NewFile {
    output: Output,
    path: PathBuf,
}

impl NewFile {
    /// Begins a file. A pipe or a device is written to.
    pub(super) fn begin(path: &Path, may_replace: bool) -> Result<Self, Failure> {
        let is_file = path.metadata().is_ok_and(|at| at.is_file());
        if is_file && !may_replace {
            return Err(is_there(path));
        }
        let begun = match path.symlink_metadata() {
            Err(e) if e.kind() == io::ErrorKind::NotFound && !may_replace => Output::new(path),
            Ok(_) | Err(_) => Output::replacing(path),
        };
        match begun {
            Ok(output) => Ok(Self { output, path: path.to_owned() }),
            Err(e) => Err(cannot_write(path, &e)),
        }
    }

    /// Puts the file in its place.
    pub(super) fn finish(self) -> Result<(), Failure> {
        let Self { output, path } = self;
        output.finish().map_err(|e| cannot_write(&path, &e))
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.output.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// Writes a file whole.
pub(super) fn write_file(path: &Path, may_replace: bool, content: &[u8]) -> Result<(), Failure> {
    let mut file = NewFile::begin(path, may_replace)?;
    file.write_all(content).map_err(|e| cannot_write(path, &e))?;
    file.finish()
}

fn is_there(path: &Path) -> Failure {
    Failure::usage(format!("{}: is there already", path.display()))
        .with_hint("name another file, or replace it with --force")
}

/// That something cannot be written: a place that can hold no file is the user's to mend.
pub(super) fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    let message = format!("{}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::AlreadyExists => is_there(path),
        io::ErrorKind::IsADirectory | io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            Failure::usage(message).with_hint("want the name of a file, in a directory that is there")
        }
        _ => Failure::outside(message),
    }
}

/// Where a table is written to.
pub(super) trait TableOut: Write + Send {}

impl<W: Write + Send> TableOut for W {}

/// Where a table goes, and how it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableTarget<'a> {
    /// The file; `None`: stdout.
    path: Option<&'a Path>,
    replacing: Replacing,
    pub(super) format: Format,
}

impl<'a> TableTarget<'a> {
    /// By what was asked for: a format that is not named is that of the file's ending, or CSV.
    pub(super) fn new(
        path: Option<&'a Path>,
        replacing: Replacing,
        asked: Option<TableFormat>,
        printer: Printer,
    ) -> Result<Self, Failure> {
        let format = match asked {
            Some(TableFormat::Csv) => Format::Csv,
            Some(TableFormat::Jsonl) => Format::JsonLines,
            Some(TableFormat::Parquet) => Format::Parquet,
            None => path.map_or(Ok(Format::Csv), format_of)?,
        };
        if format == Format::Parquet && path.is_none() && printer.is_terminal() {
            return Err(
                Failure::usage("Parquet is not for a terminal").with_hint("name a file: -o table.parquet")
            );
        }
        Ok(Self { path, replacing, format })
    }

    /// Has the table written. `None` where its reader went away: it has all that it wants.
    pub(super) fn write<T>(
        self,
        printer: Printer,
        write: impl FnOnce(&mut dyn TableOut) -> Result<T, ExportError>,
    ) -> Result<Option<T>, Failure> {
        let buffered = |out: &mut dyn TableOut| {
            let mut out = BufWriter::with_capacity(EXPORT_BUFFER_BYTES, out);
            let written = write(&mut out)?;
            out.flush()?;
            Ok(written)
        };
        match self.path {
            Some(path) => {
                let mut file = NewFile::begin(path, self.replacing.force)?;
                let written = buffered(&mut file).map_err(|e| failed(&path.display().to_string(), &e))?;
                file.finish()?;
                Ok(Some(written))
            }
            None => {
                // Parquet is bytes, not lines.
                let written = match self.format {
                    Format::Parquet => buffered(&mut printer.out()),
                    Format::Csv | Format::JsonLines => buffered(&mut printer.table()),
                };
                match written {
                    Err(ExportError::Io(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(None),
                    written => written.map(Some).map_err(|e| failed("stdout", &e)),
                }
            }
        }
    }
}

fn failed(what: &str, error: &ExportError) -> Failure {
    match error {
        ExportError::Io(e) => Failure::outside(format!("{what}: {e}")),
        ExportError::Inexact { column, value } => {
            Failure::usage(format!("column `{column}` has {value}, which a 64-bit float cannot hold"))
                .with_hint("CSV and JSON lines can, and so can Parquet without --wide")
        }
        ExportError::UnknownTag { .. } | ExportError::Misfit { .. } => {
            Failure::outside(format!("{what}: {error}"))
        }
    }
}

fn format_of(path: &Path) -> Result<Format, Failure> {
    match path.extension().and_then(|ending| ending.to_str()) {
        Some("csv") => Ok(Format::Csv),
        Some("jsonl" | "ndjson") => Ok(Format::JsonLines),
        Some("parquet" | "pq") => Ok(Format::Parquet),
        _ => Err(Failure::usage(format!(
            "{}: want a name that ends in .csv, .jsonl or .parquet",
            path.display()
        ))
        .with_hint("or say how to write it with --format")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_there_is_replaced_only_where_that_is_asked_for() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("out");
        write_file(&path, false, b"first").expect("nothing is there");
        let refused = write_file(&path, false, b"second").expect_err("it is there");
        assert_eq!(refused.exit_code(), 2);
        assert_eq!(fs::read(&path).expect("it is there"), b"first");
        write_file(&path, true, b"third").expect("it is replaced");
        assert_eq!(fs::read(&path).expect("it is there"), b"third");
        // One that came meanwhile.
        let late = NewFile::begin(&directory.path().join("late"), false).expect("nothing is there");
        fs::write(directory.path().join("late"), "other").expect("it is written");
        assert_eq!(late.finish().expect_err("it is there").exit_code(), 2);
        assert_eq!(fs::read(directory.path().join("late")).expect("it is there"), b"other");
    }

    #[test]
    fn whose_fault_it_is_decides_the_exit_code() {
        #[track_caller]
        fn check(path: &str, expected: u8) {
            let written = write_file(Path::new(path), false, &[b'x'; 100_000]);
            assert_eq!(written.map_or_else(|e| e.exit_code(), |()| 0), expected, "{path}");
        }
        check("/", 2);
        check("/no-such-directory/out", 2);
        check("/dev/null/out", 2);
        check("/dev/full", 3);
        check("/dev/null", 0);
    }
}
