//! Writes event files that hold scalars.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Error, ErrorKind};
use crate::units::{Step, WallTime};
use crate::{event, record};

/// How often another name is tried for a file whose name is taken.
const MAX_TRIES: u32 = 100;

/// Writes an event file. What is written is on its way to readers once [`Self::flush`] returns.
#[derive(Debug)]
pub struct EventWriter<W: Write> {
    out: W,
    /// One record, to be written whole.
    framed: Vec<u8>,
}

impl EventWriter<BufWriter<File>> {
    /// Makes a new event file in a directory, and the directory where it is not there. Its name is of TensorFlow's
    /// form; no file is replaced.
    ///
    /// # Errors
    /// [`ErrorKind::Io`] where the directory or the file cannot be made or written.
    pub fn create(directory: impl AsRef<Path>) -> Result<Self, Error> {
        static N_MADE: AtomicU32 = AtomicU32::new(0);
        let directory = directory.as_ref();
        let failed = |error| Error::new(directory, ErrorKind::Io(error));
        fs::create_dir_all(directory).map_err(failed)?;
        let host = ["HOSTNAME", "COMPUTERNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        let host = host.unwrap_or_else(|| "localhost".to_owned()).replace(['/', '\\'], "_");
        let mut made = Err(io::ErrorKind::AlreadyExists.into());
        for _ in 0..MAX_TRIES {
            let (seconds, n) = (now().0 as u64, N_MADE.fetch_add(1, Ordering::Relaxed));
            let name = format!("events.out.tfevents.{seconds:010}.{host}.{}.{n}", std::process::id());
            made = File::create_new(directory.join(name));
            if !matches!(&made, Err(error) if error.kind() == io::ErrorKind::AlreadyExists) {
                break;
            }
        }
        made.and_then(|file| Self::new(BufWriter::new(file))).map_err(failed)
    }
}

impl<W: Write> EventWriter<W> {
    /// Begins an event file: its first event names the format's version.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = Self { out, framed: Vec::new() };
        writer.write(&event::encode_file_version(now(), "tfevents"))?;
        Ok(writer)
    }

    /// Writes one number, now.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn scalar(&mut self, tag: &str, step: i64, value: f32) -> io::Result<()> {
        self.scalars(now(), Step(step), &[(tag, value)])
    }

    /// Writes the numbers of one step as one event, with this clock.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn scalars(&mut self, at: WallTime, step: Step, values: &[(&str, f32)]) -> io::Result<()> {
        self.write(&event::encode_scalars(at, step, values))
    }

    /// Writes that a session begins at a step, as a trainer does that resumes from a checkpoint: what was written
    /// before of later steps is void.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn session_start(&mut self, step: i64) -> io::Result<()> {
        self.write(&event::encode_session_start(now(), Step(step)))
    }

    /// Hands all that was written to the system.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }

    /// What was written to.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn into_inner(mut self) -> io::Result<W> {
        self.out.flush()?;
        Ok(self.out)
    }

    fn write(&mut self, event: &[u8]) -> io::Result<()> {
        self.framed.clear();
        record::encode(event, &mut self.framed);
        self.out.write_all(&self.framed)
    }
}

fn now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    WallTime(since.map_or(0.0, |since| since.as_secs_f64()))
}
