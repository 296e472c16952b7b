//! A table: named, typed columns and the rows below them.
//!
//! Layer 6. Checks each cell against its column and hands it to the encoder of the format.

use std::collections::HashSet;
use std::io::{self, Write};
use std::sync::Arc;

use super::csv::CsvEncoder;
use super::jsonl::JsonLinesEncoder;
use super::parquet::{ParquetEncoder, ParquetFile, ParquetForm, RowGroup};
use super::{ExportError, Format};
use crate::limits::EXPORT_BUFFER_BYTES;
use crate::units::MetricValue;

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Unicode text. In Parquet `STRING`.
    Text,
    /// A signed 64-bit integer. In Parquet `INT64`.
    Integer,
    /// An unsigned 32-bit integer. In Parquet `INT32` with the annotation `UINT_32`.
    Count,
    /// A 64-bit float. In Parquet `DOUBLE`.
    Float,
    /// A scalar in the type of its writer. In Parquet `DOUBLE`; what becomes of an integer that a
    /// `DOUBLE` cannot hold is said beside it. The text formats hold every one.
    Value(Inexact),
    /// True or false. In Parquet `BOOLEAN`.
    Bool,
}

/// What becomes of a 64-bit integer that a 64-bit float cannot hold, where the format is Parquet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inexact {
    /// The row is refused with [`ExportError::Inexact`].
    Refused,
    /// The column has the nearest float; a second column, `NAME_exact`, has the integer itself as
    /// `DECIMAL(20, 0)` and is null wherever the first is exact. It is there in every Parquet table,
    /// so that tables of one form have one schema.
    Beside,
}

/// Whether a column may have missing cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// Every row has one.
    Required,
    /// [`Cell::Missing`] may stand in it.
    Optional,
}

/// A column's name, type and presence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name: any text, but no two columns of a table have the same.
    pub name: String,
    /// What it holds.
    pub kind: ColumnKind,
    /// Whether it may have missing cells.
    pub presence: Presence,
}

impl Column {
    /// A column without missing cells.
    #[must_use]
    pub fn required(name: impl Into<String>, kind: ColumnKind) -> Self {
        Self { name: name.into(), kind, presence: Presence::Required }
    }

    /// A column that may have missing cells.
    #[must_use]
    pub fn optional(name: impl Into<String>, kind: ColumnKind) -> Self {
        Self { name: name.into(), kind, presence: Presence::Optional }
    }

    fn accepts(&self, cell: Cell<'_>) -> bool {
        match cell {
            Cell::Missing => self.presence == Presence::Optional,
            Cell::Text(_) => self.kind == ColumnKind::Text,
            Cell::Integer(_) => self.kind == ColumnKind::Integer,
            Cell::Count(_) => self.kind == ColumnKind::Count,
            Cell::Float(_) => self.kind == ColumnKind::Float,
            Cell::Value(_) => matches!(self.kind, ColumnKind::Value(_)),
            Cell::Bool(_) => self.kind == ColumnKind::Bool,
        }
    }

    pub(super) fn misfit(&self, got: &'static str) -> ExportError {
        let want = match self.kind {
            ColumnKind::Text => "a text",
            ColumnKind::Integer => "an integer",
            ColumnKind::Count => "a count",
            ColumnKind::Float => "a float",
            ColumnKind::Value(_) => "a value",
            ColumnKind::Bool => "a boolean",
        };
        ExportError::Misfit { column: self.name.clone(), got, want }
    }
}

/// What stands in one row of one column.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Cell<'a> {
    /// Nothing, in an optional column.
    Missing,
    /// For [`ColumnKind::Text`].
    Text(&'a str),
    /// For [`ColumnKind::Integer`].
    Integer(i64),
    /// For [`ColumnKind::Count`].
    Count(u32),
    /// For [`ColumnKind::Float`]; NaN and the infinities are values like any other.
    Float(f64),
    /// For [`ColumnKind::Value`].
    Value(MetricValue),
    /// For [`ColumnKind::Bool`].
    Bool(bool),
}

impl Cell<'_> {
    pub(super) fn description(self) -> &'static str {
        match self {
            Self::Missing => "nothing",
            Self::Text(_) => "a text",
            Self::Integer(_) => "an integer",
            Self::Count(_) => "a count",
            Self::Float(_) => "a float",
            Self::Value(_) => "a value",
            Self::Bool(_) => "a boolean",
        }
    }
}

/// Writes a table row by row, in bounded memory.
///
/// Nothing that was written counts before [`TableWriter::finish`]: text may wait in a buffer, and a
/// Parquet file has no footer. After an error the table is of no more use.
pub struct TableWriter<W: Write + Send> {
    rows: RowEncoder,
    file: TableFile<W>,
}

impl<W: Write + Send> TableWriter<W> {
    /// A table of these columns without rows.
    ///
    /// # Errors
    /// [`ExportError::Io`]; [`ExportError::Misfit`] if there is no column or two have one name.
    pub fn new(format: Format, columns: Vec<Column>, out: W) -> Result<Self, ExportError> {
        let form = Arc::new(TableForm::new(format, columns)?);
        let file = TableFile::begin(&form, out)?;
        Ok(Self { rows: RowEncoder::new(form)?, file })
    }

    /// Adds a row: one cell a column, in their order.
    ///
    /// # Errors
    /// [`ExportError::Io`]; [`ExportError::Inexact`]; [`ExportError::Misfit`] if a cell is not of its
    /// column's kind or their numbers differ.
    pub fn row<'c>(&mut self, cells: impl IntoIterator<Item = Cell<'c>>) -> Result<(), ExportError> {
        self.rows.row(cells)?;
        if self.rows.is_worth_writing() {
            let mut encoded = self.rows.poll_encoded();
            self.file.write(&mut encoded)?;
            if let Encoded::Text(text) = encoded {
                self.rows.encode_into(text);
            }
        }
        Ok(())
    }

    /// Writes what is left, flushes the writer and gives it back. The table is complete then.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn finish(mut self) -> Result<W, ExportError> {
        self.file.write(&mut self.rows.finish()?)?;
        self.file.finish()
    }

    /// The form of its rows, by which several threads encode some each, and the file, which takes them in their order.
    /// Rows that were added are in the file.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub(super) fn into_parts(mut self) -> Result<(Arc<TableForm>, TableFile<W>), ExportError> {
        let form = Arc::clone(&self.rows.form);
        self.file.write(&mut self.rows.finish()?)?;
        Ok((form, self.file))
    }
}

/// The format and the columns of a table.
pub(super) struct TableForm {
    columns: Vec<Column>,
    format: FormatForm,
}

enum FormatForm {
    Csv,
    JsonLines,
    Parquet(ParquetForm),
}

impl TableForm {
    fn new(format: Format, columns: Vec<Column>) -> Result<Self, ExportError> {
        check_names(format, &columns)?;
        let format = match format {
            Format::Csv => FormatForm::Csv,
            Format::JsonLines => FormatForm::JsonLines,
            Format::Parquet => FormatForm::Parquet(ParquetForm::new(&columns)?),
        };
        Ok(Self { columns, format })
    }
}

/// Encodes rows of a table, which need not be all.
pub(super) struct RowEncoder {
    form: Arc<TableForm>,
    encoder: Encoder,
}

enum Encoder {
    Csv(Box<CsvEncoder>),
    JsonLines(JsonLinesEncoder),
    Parquet(Box<ParquetEncoder>),
}

/// Rows as they stand in the file.
pub(super) enum Encoded {
    Text(Vec<u8>),
    RowGroups(Vec<RowGroup>),
}

impl RowEncoder {
    pub(super) fn new(form: Arc<TableForm>) -> Result<Self, ExportError> {
        let encoder = match &form.format {
            FormatForm::Csv => Encoder::Csv(Box::new(CsvEncoder::new(form.columns.len()))),
            FormatForm::JsonLines => Encoder::JsonLines(JsonLinesEncoder::new(&form.columns)?),
            FormatForm::Parquet(parquet) => {
                Encoder::Parquet(Box::new(ParquetEncoder::new(&form.columns, parquet)))
            }
        };
        Ok(Self { form, encoder })
    }

    /// Adds a row; see [`TableWriter::row`].
    #[inline]
    pub(super) fn row<'c>(&mut self, cells: impl IntoIterator<Item = Cell<'c>>) -> Result<(), ExportError> {
        let mut cells = cells.into_iter();
        for (idx, column) in self.form.columns.iter().enumerate() {
            let cell = cells.next().ok_or_else(|| column.misfit("the end of the row"))?;
            if !column.accepts(cell) {
                return Err(column.misfit(cell.description()));
            }
            match &mut self.encoder {
                Encoder::Csv(encoder) => encoder.cell(idx, cell),
                Encoder::JsonLines(encoder) => encoder.cell(idx, cell)?,
                Encoder::Parquet(encoder) => encoder.cell(idx, cell)?,
            }
        }
        if let (Some(cell), Some(last)) = (cells.next(), self.form.columns.last()) {
            let want = "the end of the row";
            return Err(ExportError::Misfit { column: last.name.clone(), got: cell.description(), want });
        }
        match &mut self.encoder {
            Encoder::Csv(encoder) => encoder.end_row(),
            Encoder::JsonLines(encoder) => encoder.end_row(),
            Encoder::Parquet(encoder) => encoder.end_row()?,
        }
        Ok(())
    }

    /// The encoder for so many rows column by column, with no larger cells than these, if the format is one of columns and they
    /// have room in a row group. It gives what [`Self::row`] gives, and costs less.
    pub(super) fn columns<'c>(
        &mut self,
        n_rows: usize,
        cells: impl Iterator<Item = Cell<'c>>,
    ) -> Option<&mut ParquetEncoder> {
        let Encoder::Parquet(encoder) = &mut self.encoder else { return None };
        encoder.has_room(n_rows, cells).then_some(&mut **encoder)
    }

    /// Whether enough rows are encoded to write them: a system call a row would cost more than the row.
    #[inline]
    fn is_worth_writing(&self) -> bool {
        match &self.encoder {
            Encoder::Csv(encoder) => encoder.n_bytes() >= EXPORT_BUFFER_BYTES,
            Encoder::JsonLines(encoder) => encoder.n_bytes() >= EXPORT_BUFFER_BYTES,
            Encoder::Parquet(encoder) => encoder.has_encoded(),
        }
    }

    /// Encodes text into this memory, which was written. To be called where no rows are encoded.
    pub(super) fn encode_into(&mut self, memory: Vec<u8>) {
        match &mut self.encoder {
            Encoder::Csv(encoder) => encoder.encode_into(memory),
            Encoder::JsonLines(encoder) => encoder.encode_into(memory),
            Encoder::Parquet(_) => {}
        }
    }

    /// The rows that are encoded by now; in Parquet only whole row groups.
    fn poll_encoded(&mut self) -> Encoded {
        match &mut self.encoder {
            Encoder::Csv(encoder) => Encoded::Text(encoder.take()),
            Encoder::JsonLines(encoder) => Encoded::Text(encoder.take()),
            Encoder::Parquet(encoder) => Encoded::RowGroups(encoder.take_encoded()),
        }
    }

    /// All rows since the last time.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub(super) fn finish(&mut self) -> Result<Encoded, ExportError> {
        if let Encoder::Parquet(encoder) = &mut self.encoder {
            encoder.end_row_group()?;
        }
        Ok(self.poll_encoded())
    }
}

/// The file of a table, which takes encoded rows.
pub(super) enum TableFile<W: Write + Send> {
    Text(W),
    Parquet(Box<ParquetFile<W>>),
}

impl<W: Write + Send> TableFile<W> {
    fn begin(form: &TableForm, mut out: W) -> Result<Self, ExportError> {
        Ok(match &form.format {
            FormatForm::Csv => {
                out.write_all(&CsvEncoder::head(&form.columns))?;
                Self::Text(out)
            }
            FormatForm::JsonLines => Self::Text(out),
            FormatForm::Parquet(parquet) => Self::Parquet(Box::new(ParquetFile::begin(parquet, out)?)),
        })
    }

    /// Writes the next rows; of `encoded` no more than memory is left.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub(super) fn write(&mut self, encoded: &mut Encoded) -> Result<(), ExportError> {
        match (self, encoded) {
            (Self::Text(out), Encoded::Text(text)) => {
                out.write_all(text)?;
                text.clear();
                Ok(())
            }
            (Self::Parquet(file), Encoded::RowGroups(groups)) => {
                groups.drain(..).try_for_each(|group| file.write(group))
            }
            (Self::Text(_), Encoded::RowGroups(_)) | (Self::Parquet(_), Encoded::Text(_)) => {
                Err(io::Error::other("rows of another format").into())
            }
        }
    }

    /// Ends the file, flushes the writer and gives it back.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub(super) fn finish(self) -> Result<W, ExportError> {
        match self {
            Self::Text(mut out) => {
                out.flush()?;
                Ok(out)
            }
            Self::Parquet(file) => file.finish(),
        }
    }
}

/// The name of the column beside a column of inexact values.
pub(super) fn exact_name(name: &str) -> String {
    format!("{name}_exact")
}

fn check_names(format: Format, columns: &[Column]) -> Result<(), ExportError> {
    let misfit = |column: &str, got, want| Err(ExportError::Misfit { column: column.to_owned(), got, want });
    let mut names = HashSet::new();
    for column in columns {
        let is_new = names.insert(column.name.clone());
        let has_beside = format == Format::Parquet && column.kind == ColumnKind::Value(Inexact::Beside);
        if !is_new || (has_beside && !names.insert(exact_name(&column.name))) {
            return misfit(&column.name, "a second column of this name", "one");
        }
    }
    if columns.is_empty() { misfit("", "no column", "one or more") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_that_does_not_fit_its_columns_is_refused_by_every_format() {
        #[track_caller]
        fn check(cells: &[Cell<'_>], expected: &str) {
            for format in [Format::Csv, Format::JsonLines, Format::Parquet] {
                let columns = vec![
                    Column::required("run", ColumnKind::Text),
                    Column::optional("lr", ColumnKind::Float),
                ];
                let mut table = TableWriter::new(format, columns, Vec::new()).unwrap();
                let error = table.row(cells.iter().copied()).unwrap_err();
                assert_eq!(error.to_string(), expected);
            }
        }
        let run = Cell::Text("a");
        check(&[run], "column \"lr\": got the end of the row, want a float");
        check(
            &[run, Cell::Missing, Cell::Bool(true)],
            "column \"lr\": got a boolean, want the end of the row",
        );
        check(&[Cell::Missing, Cell::Missing], "column \"run\": got nothing, want a text");
        check(&[run, Cell::Integer(1)], "column \"lr\": got an integer, want a float");
    }

    #[test]
    fn columns_are_refused_where_a_reader_could_not_tell_them_apart() {
        #[track_caller]
        fn check(format: Format, names: &[&str], expected: bool) {
            let column = |name: &&str| Column::optional(*name, ColumnKind::Value(Inexact::Beside));
            let columns = names.iter().map(column).collect();
            assert_eq!(TableWriter::new(format, columns, Vec::new()).is_ok(), expected, "{names:?}");
        }
        for format in [Format::Csv, Format::JsonLines, Format::Parquet] {
            check(format, &["a", "b"], true);
            check(format, &["a", "a"], false);
            check(format, &[], false);
        }
        check(Format::Csv, &["a", "a_exact"], true);
        check(Format::Parquet, &["a", "a_exact"], false);
        check(Format::Parquet, &["a_exact", "a"], false);
    }
}
