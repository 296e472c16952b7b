//! One JSON object a line.
//!
//! Layer 6. The names are encoded once, each value by `serde_json` straight into the line.

use std::io;

use serde_json::Serializer;

use super::table::{Cell, Column};
use crate::units::{MetricValue, has_fraction, serialize_f64};

/// Cells to lines of JSON.
pub(super) struct JsonLinesEncoder {
    lines: Vec<u8>,
    /// Each column's name as a JSON string, with the colon.
    keys: Vec<Vec<u8>>,
    /// What stands before the next pair of the row: the brace that opens the object, or a comma.
    before: u8,
}

impl JsonLinesEncoder {
    pub(super) fn new(columns: &[Column]) -> io::Result<Self> {
        let key = |column: &Column| {
            let mut key = serde_json::to_vec(&column.name)?;
            key.push(b':');
            Ok(key)
        };
        let keys = columns.iter().map(key).collect::<io::Result<_>>()?;
        Ok(Self { lines: Vec::new(), keys, before: b'{' })
    }

    pub(super) fn cell(&mut self, column_idx: usize, cell: Cell<'_>) -> io::Result<()> {
        if matches!(cell, Cell::Missing) {
            return Ok(());
        }
        let line = &mut self.lines;
        line.push(self.before);
        self.before = b',';
        line.extend_from_slice(self.keys.get(column_idx).map_or(b"", Vec::as_slice));
        match cell {
            Cell::Missing => {}
            Cell::Text(text) => serde_json::to_writer(line, text)?,
            Cell::Integer(number) => serde_json::to_writer(line, &number)?,
            Cell::Count(number) => serde_json::to_writer(line, &number)?,
            Cell::Float(number) => serialize_f64(&number, &mut Serializer::new(line))?,
            // The same number as the value's own encoding, without the way through an f64.
            Cell::Value(MetricValue::F32(number)) if has_fraction(number) => {
                serde_json::to_writer(line, &number)?;
            }
            Cell::Value(value) => serde_json::to_writer(line, &value)?,
            Cell::Bool(flag) => serde_json::to_writer(line, &flag)?,
        }
        Ok(())
    }

    pub(super) fn end_row(&mut self) {
        if self.before == b'{' {
            self.lines.push(b'{');
        }
        self.before = b'{';
        self.lines.extend_from_slice(b"}\n");
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::{ColumnKind, Format, Inexact, TableWriter};

    #[track_caller]
    fn check(cells: &[Cell<'_>], expected: &str) {
        let columns = vec![
            Column::optional("a \"b\"", ColumnKind::Text),
            Column::optional("value", ColumnKind::Value(Inexact::Refused)),
            Column::optional("time", ColumnKind::Float),
        ];
        let mut table = TableWriter::new(Format::JsonLines, columns, Vec::new()).unwrap();
        table.row(cells.iter().copied()).unwrap();
        assert_eq!(String::from_utf8(table.finish().unwrap()).unwrap(), expected);
    }

    #[test]
    fn a_row_is_an_object_in_the_order_of_the_columns() {
        let text = Cell::Text("x\ny");
        let value = Cell::Value(MetricValue::F32(0.1));
        let row = "{\"a \\\"b\\\"\":\"x\\ny\",\"value\":0.1,\"time\":1.5}\n";
        check(&[text, value, Cell::Float(1.5)], row);
    }

    #[test]
    fn missing_cells_are_left_out() {
        check(&[Cell::Missing, Cell::Missing, Cell::Missing], "{}\n");
        check(
            &[Cell::Missing, Cell::Value(MetricValue::U64(u64::MAX)), Cell::Missing],
            "{\"value\":18446744073709551615}\n",
        );
    }

    #[test]
    fn what_is_not_finite_is_a_string() {
        let value = Cell::Value(MetricValue::F32(f32::NEG_INFINITY));
        check(&[Cell::Missing, value, Cell::Float(f64::NAN)], "{\"value\":\"-Infinity\",\"time\":\"NaN\"}\n");
    }
}
