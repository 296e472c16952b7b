//! A batch as JSON lines, for the sinks that deliver text.

use crate::report::watch;

use super::Batch;

/// Whole lines, JSON objects, each with its `\n`.
#[derive(Debug, Clone, Default)]
pub(super) struct JsonLines {
    /// The `seq` of the first line; that of each further one is higher by one.
    pub(super) first_seq: u64,
    /// How many lines there are.
    pub(super) n_lines: usize,
    /// The lines.
    pub(super) text: String,
}

impl JsonLines {
    /// Holds those of a batch from now on, in the memory of the last: fresh memory for each batch costs as much as a system
    /// call a page.
    pub(super) fn fill(&mut self, batch: &Batch<'_>) {
        watch::encode_all(batch.lines, batch.trial, batch.first_seq, &mut self.text);
        (self.first_seq, self.n_lines) = (batch.first_seq, batch.lines.len());
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

#[cfg(test)]
impl JsonLines {
    /// Lines of a test, whatever is in them.
    pub(super) fn test(first_seq: u64, text: &str) -> Self {
        Self { first_seq, n_lines: text.lines().count(), text: text.to_owned() }
    }
}
