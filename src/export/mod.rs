//! Tables of points for other programs: CSV, JSON lines and Parquet.
//!
//! Layer 6: may import layers 0 and 3. Pure: rows go in, bytes go to the writer that was handed in.
//!
//! [`TableWriter`] encodes rows of typed cells and knows nothing of runs; [`PointTable`] makes such
//! rows of points, a point a row ([`Shape::Long`]) or a step a row ([`Shape::Wide`]).
//!
//! What every format keeps: each value to the bit, NaN payloads aside; each text byte for byte; the
//! order of the rows. A value is the same number in all of them. How each spells it:
//!
//! | | CSV | JSON lines | Parquet |
//! |---|---|---|---|
//! | missing | nothing between the commas | the key is left out | null |
//! | text | as it is, quoted where needed; empty text is `""` | string | `STRING` |
//! | float32 | its number ([`MetricValue::as_f64`]) | the same | the same, as `DOUBLE` |
//! | float64 | shortest decimal that reads back | the same | `DOUBLE` |
//! | integer | whole | whole | see [`ColumnKind`] |
//! | not finite | `NaN`, `inf`, `-inf` | `"NaN"`, `"Infinity"`, `"-Infinity"` | as it is |
//! | boolean | `true`, `false` | `true`, `false` | `BOOLEAN` |
//!
//! Text that a spreadsheet takes for a formula is not altered: the next reader needs the text that
//! was written.

mod csv;
mod hparams;
mod jsonl;
mod long;
mod number;
#[cfg_attr(not(feature = "parquet"), path = "parquet_absent.rs")]
mod parquet;
mod points;
mod pool;
mod table;
#[cfg(test)]
mod tests;
mod wide;

use std::io;

use crate::units::{MetricValue, Tag};

pub use hparams::{HparamColumns, Hparams};
pub use long::{EncodedPoints, LongEncoder, LongFile, LongPoints, PointBatch};
pub use points::{Point, PointTable, Shape, WideOrder};
pub use table::{Cell, Column, ColumnKind, Inexact, Presence, TableWriter};
pub use tfevents::scalar::HparamValue;

/// How a table is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Comma-separated values after RFC 4180, with `\n` at the end of a line and one line of names.
    Csv,
    /// One JSON object a line, its keys in the order of the columns.
    JsonLines,
    /// Apache Parquet, version 1 pages, compressed with Snappy.
    Parquet,
}

/// Why a table cannot be written on. After any of them but [`ExportError::UnknownTag`] the table is
/// of no more use.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The writer failed: stop.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Parquet has no room for this integer in this column: stop, or begin again in another format
    /// or shape.
    #[error(
        "column {column:?} has {value}, which a 64-bit float cannot hold\nhint: CSV, JSON lines and the long form can"
    )]
    Inexact {
        /// The column's name.
        column: String,
        /// The integer.
        value: MetricValue,
    },
    /// A point's tag is not among those of the wide form: skip it, or begin again with all tags. The
    /// table is as it was.
    #[error("tag {tag:?} has no column", tag = tag.as_str())]
    UnknownTag {
        /// The tag.
        tag: Tag,
    },
    /// The caller broke a rule of the table: stop, it is a mistake in the program.
    #[error("column {column:?}: got {got}, want {want}")]
    Misfit {
        /// The column's name.
        column: String,
        /// What was given.
        got: &'static str,
        /// What belongs there.
        want: &'static str,
    },
}
