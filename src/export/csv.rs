//! Comma-separated values after RFC 4180.
//!
//! Layer 6. Missing cells are empty and empty texts are `""`, so that a reader that looks at the
//! quotes can tell them apart.

use super::number;
use super::table::{Cell, Column};
use crate::units::{MetricValue, Tag};

const QUOTE: u8 = b'"';

/// Cells to lines of CSV.
pub(super) struct CsvEncoder {
    lines: Vec<u8>,
    /// Knows which texts need quotes.
    rules: csv_core::Writer,
    /// Whether a row of one empty cell would be a blank line, which readers skip.
    is_single: bool,
    /// Of each column the last text, and how it is spelled: most repeat.
    texts: Vec<Option<(Tag, Vec<u8>)>>,
}

impl CsvEncoder {
    pub(super) fn new(n_columns: usize) -> Self {
        Self {
            lines: Vec::new(),
            rules: csv_core::Writer::new(),
            is_single: n_columns == 1,
            texts: Vec::new(),
        }
    }

    /// The line of names.
    pub(super) fn head(columns: &[Column]) -> Vec<u8> {
        let mut encoder = Self::new(columns.len());
        for (idx, column) in columns.iter().enumerate() {
            encoder.cell(idx, Cell::Text(&column.name));
        }
        encoder.end_row();
        encoder.lines
    }

    #[inline]
    pub(super) fn cell(&mut self, column_idx: usize, cell: Cell<'_>) {
        if column_idx > 0 {
            self.lines.push(b',');
        }
        match cell {
            Cell::Missing if self.is_single => self.lines.extend([QUOTE, QUOTE]),
            Cell::Missing => {}
            Cell::Text(text) => self.text(column_idx, text),
            Cell::Integer(n) => number::push(MetricValue::I64(n), &mut self.lines),
            Cell::Count(n) => number::push(MetricValue::U64(n.into()), &mut self.lines),
            Cell::Float(n) => number::push(MetricValue::F64(n), &mut self.lines),
            Cell::Value(value) => number::push(value, &mut self.lines),
            Cell::Bool(flag) => self.lines.extend_from_slice(if flag { b"true" } else { b"false" }),
        }
    }

    #[inline]
    fn text(&mut self, column_idx: usize, text: &str) {
        match self.texts.get(column_idx) {
            Some(Some((last, spelled))) if last.is(text) => self.lines.extend_from_slice(spelled),
            _ => self.new_text(column_idx, text),
        }
    }

    #[inline(never)]
    fn new_text(&mut self, column_idx: usize, text: &str) {
        let mut spelled = Vec::new();
        if text.is_empty() || self.rules.should_quote(text.as_bytes()) {
            quote(text.as_bytes(), &mut spelled);
        } else {
            spelled.extend_from_slice(text.as_bytes());
        }
        self.lines.extend_from_slice(&spelled);
        if self.texts.len() <= column_idx {
            self.texts.resize_with(column_idx + 1, Default::default);
        }
        if let Some(last) = self.texts.get_mut(column_idx) {
            *last = Some((Tag::from(text), spelled));
        }
    }

    #[inline]
    pub(super) fn end_row(&mut self) {
        self.lines.push(b'\n');
    }

    /// Replaces the memory of the rows, of which there are none.
    pub(super) fn encode_into(&mut self, memory: Vec<u8>) {
        self.lines = memory;
    }

    /// How many bytes the rows take that are not taken yet.
    pub(super) fn n_bytes(&self) -> usize {
        self.lines.len()
    }

    /// The rows since the last time.
    pub(super) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.lines)
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
