//! Comma-separated values after RFC 4180.
//!
//! Layer 6. Missing cells are empty and empty texts are `""`, so that a reader that looks at the
//! quotes can tell them apart.

use std::io::{self, Write};

use super::lines::Lines;
use super::table::{Cell, Column};
use crate::units::MetricValue;

const QUOTE: u8 = b'"';

/// Cells to lines of CSV.
pub(super) struct CsvEncoder<W> {
    lines: Lines<W>,
    /// Knows which texts need quotes.
    rules: csv_core::Writer,
    /// Whether a row of one empty cell would be a blank line, which readers skip.
    is_single: bool,
}

impl<W: Write> CsvEncoder<W> {
    pub(super) fn new(columns: &[Column], out: W) -> io::Result<Self> {
        let rules = csv_core::Writer::new();
        let mut encoder = Self { lines: Lines::new(out), rules, is_single: columns.len() == 1 };
        for (idx, column) in columns.iter().enumerate() {
            encoder.cell(idx, Cell::Text(&column.name))?;
        }
        encoder.end_row()?;
        Ok(encoder)
    }

    pub(super) fn cell(&mut self, column_idx: usize, cell: Cell<'_>) -> io::Result<()> {
        let bytes = &mut self.lines.bytes;
        if column_idx > 0 {
            bytes.push(b',');
        }
        match cell {
            Cell::Missing if self.is_single => bytes.extend([QUOTE, QUOTE]),
            Cell::Missing => {}
            Cell::Text(text) if text.is_empty() || self.rules.should_quote(text.as_bytes()) => {
                quote(text.as_bytes(), bytes);
            }
            Cell::Text(text) => bytes.extend_from_slice(text.as_bytes()),
            Cell::Integer(number) => write!(bytes, "{number}")?,
            Cell::Count(number) => write!(bytes, "{number}")?,
            Cell::Float(number) => write!(bytes, "{}", MetricValue::F64(number))?,
            Cell::Value(value) => write!(bytes, "{value}")?,
            Cell::Bool(flag) => bytes.extend_from_slice(if flag { b"true" } else { b"false" }),
        }
        Ok(())
    }

    pub(super) fn end_row(&mut self) -> io::Result<()> {
        self.lines.end_line()
    }

    pub(super) fn finish(self) -> io::Result<W> {
        self.lines.finish()
    }
}

fn quote(text: &[u8], bytes: &mut Vec<u8>) {
    bytes.push(QUOTE);
    let start = bytes.len();
    // Room for the worst case, in which every byte is a quote.
    bytes.resize(start.saturating_add(text.len().saturating_mul(2)), 0);
    let room = bytes.get_mut(start..).unwrap_or_default();
    let (_, _, n_written) = csv_core::quote(text, room, QUOTE, QUOTE, true);
    bytes.truncate(start.saturating_add(n_written));
    bytes.push(QUOTE);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{ColumnKind, Format, Inexact, TableWriter};

    #[track_caller]
    fn check(columns: Vec<Column>, cells: &[Cell<'_>], expected: &str) {
        let mut table = TableWriter::new(Format::Csv, columns, Vec::new()).unwrap();
        table.row(cells.iter().copied()).unwrap();
        assert_eq!(String::from_utf8(table.finish().unwrap()).unwrap(), expected);
    }

    #[test]
    fn texts_are_quoted_where_they_must_be_and_never_altered() {
        let texts = |texts: &[&str], expected: &str| {
            let columns = texts
                .iter()
                .enumerate()
                .map(|(idx, _)| Column::required(format!("c{idx}"), ColumnKind::Text));
            let cells: Vec<Cell<'_>> = texts.iter().map(|text| Cell::Text(text)).collect();
            check(columns.collect(), &cells, expected);
        };
        texts(&["eval/loss", "a b"], "c0,c1\neval/loss,a b\n");
        texts(&["a,b", "say \"hi\""], "c0,c1\n\"a,b\",\"say \"\"hi\"\"\"\n");
        texts(&["two\nlines", "back\rwards"], "c0,c1\n\"two\nlines\",\"back\rwards\"\n");
        texts(&["", "=1+1"], "c0,c1\n\"\",=1+1\n");
        texts(&["\"\"\"\"", "é"], "c0,c1\n\"\"\"\"\"\"\"\"\"\",é\n");
    }

    #[test]
    fn values_are_spelled_in_the_type_of_their_writer() {
        let value = |value: MetricValue, expected: &str| {
            let columns = vec![Column::required("value", ColumnKind::Value(Inexact::Refused))];
            check(columns, &[Cell::Value(value)], &format!("value\n{expected}\n"));
        };
        value(MetricValue::F32(0.1), "0.1");
        value(MetricValue::F64(f64::from(0.1_f32)), "0.10000000149011612");
        value(MetricValue::F64(f64::NAN), "NaN");
        value(MetricValue::F32(f32::INFINITY), "inf");
        value(MetricValue::F64(f64::NEG_INFINITY), "-inf");
        value(MetricValue::I64(i64::MIN), "-9223372036854775808");
        value(MetricValue::U64(u64::MAX), "18446744073709551615");
    }

    #[test]
    fn a_missing_cell_is_empty_but_never_a_blank_line() {
        let column = |name: &str| Column::optional(name, ColumnKind::Bool);
        check(vec![column("a"), column("b")], &[Cell::Missing, Cell::Bool(true)], "a,b\n,true\n");
        check(vec![column("a")], &[Cell::Missing], "a\n\"\"\n");
    }
}
