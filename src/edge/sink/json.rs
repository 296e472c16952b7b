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
    pub(super) fn of(batch: &Batch<'_>) -> Self {
        let text = watch::encode_all(batch.lines, batch.trial, batch.first_seq);
        Self { first_seq: batch.first_seq, n_lines: batch.lines.len(), text }
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
