//! Rows of text on their way to the writer.
//!
//! Layer 6. Rows gather in one buffer, which is kept: a row costs no allocation.

use std::io::{self, Write};

use crate::limits::EXPORT_BUFFER_BYTES;

/// The rows that are not written yet.
#[derive(Debug)]
pub(super) struct Lines<W> {
    /// Where a row is put together.
    pub(super) bytes: Vec<u8>,
    out: W,
}

impl<W: Write> Lines<W> {
    pub(super) fn new(out: W) -> Self {
        Self { bytes: Vec::with_capacity(2 * EXPORT_BUFFER_BYTES), out }
    }

    pub(super) fn end_line(&mut self) -> io::Result<()> {
        self.bytes.push(b'\n');
        if self.bytes.len() < EXPORT_BUFFER_BYTES {
            return Ok(());
        }
        self.out.write_all(&self.bytes)?;
        self.bytes.clear();
        self.bytes.shrink_to(2 * EXPORT_BUFFER_BYTES);
        Ok(())
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        self.out.write_all(&self.bytes)?;
        self.out.flush()?;
        Ok(self.out)
    }
}
