//! Apache Parquet.
//!
//! Layer 6. Gathers a row group column by column, then encodes it. A column keeps only the cells
//! that are not missing, so that a wide and sparse table takes the memory of its values.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use ::parquet::basic::{Compression, Encoding, LogicalType, Repetition, Type as Physical};
use ::parquet::column::writer::{ColumnCloseResult, get_column_writer, get_typed_column_writer};
use ::parquet::data_type::{
    BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FixedLenByteArray, FixedLenByteArrayType,
    Int32Type, Int64Type,
};
use ::parquet::errors::ParquetError;
use ::parquet::file::metadata::KeyValue;
use ::parquet::file::properties::{
    EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterPropertiesPtr,
};
use ::parquet::file::writer::{SerializedFileWriter, SerializedPageWriter, TrackedWrite};
use ::parquet::schema::types::{ColumnPath, SchemaDescPtr, SchemaDescriptor, Type, TypePtr};
use bytes::Bytes;

use super::ExportError;
use super::table::{Cell, Column, ColumnKind, Inexact, Presence, exact_name};
use crate::limits::{EXPORT_DICTIONARY_BYTES, EXPORT_ROW_GROUP_BYTES, EXPORT_ROW_GROUP_ROWS};
use crate::units::MetricValue;

/// Digits of `u64::MAX`, and the bytes that so long a decimal needs.
const EXACT_DIGITS: i32 = 20;
const EXACT_BYTES: usize = 9;

/// What all row groups of a table have in common.
pub(super) struct ParquetForm {
    schema: TypePtr,
    columns: SchemaDescPtr,
    properties: WriterPropertiesPtr,
}

/// Cells to row groups.
pub(super) struct ParquetEncoder {
    schema: SchemaDescPtr,
    properties: WriterPropertiesPtr,
    columns: Vec<ColumnBuffer>,
    /// Rows of the row group that is being gathered.
    n_rows: usize,
    /// What its cells take in memory.
    n_bytes: usize,
    /// Scratch: for each row, 1 where the column at hand has a cell and 0 where it is null.
    levels: Vec<i16>,
    encoded: Vec<RowGroup>,
}

/// The columns of a row group, as they stand in a file.
pub(super) struct RowGroup(Vec<(Bytes, ColumnCloseResult)>);

/// Row groups to a file.
pub(super) struct ParquetFile<W: Write + Send>(SerializedFileWriter<Out<W>>);

/// The writer until the table is finished. The file writer's own way to give it back would turn the
/// writer's last error into text.
struct Out<W>(Option<W>);

impl<W: Write> Write for Out<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.as_mut().map_or(Ok(0), |out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.as_mut().map_or(Ok(()), W::flush)
    }
}

/// The cells of one column in this row group.
struct ColumnBuffer {
    column: Column,
    cells: Buffer,
    /// The integers that `cells` has only nearly.
    exact: Option<Buffer>,
}

struct Buffer {
    /// The rows that have a cell; `None` where all have.
    rows: Option<Vec<usize>>,
    values: Values,
}

enum Values {
    Text(Texts),
    Int64(Vec<i64>),
    Int32(Vec<i32>),
    Double(Vec<f64>),
    Bool(Vec<bool>),
    Exact(Vec<FixedLenByteArray>),
}

/// Texts that share their bytes where they repeat.
#[derive(Default)]
struct Texts {
    values: Vec<ByteArray>,
    known: HashMap<Box<str>, ByteArray>,
}

impl ParquetForm {
    pub(super) fn new(columns: &[Column]) -> Result<Self, ExportError> {
        let version = env!("CARGO_PKG_VERSION");
        let mut properties = WriterProperties::builder()
            .set_created_by(format!("hptune version {version}"))
            .set_key_value_metadata(Some(vec![KeyValue::new("hptune.version".into(), version.to_owned())]))
            .set_compression(Compression::SNAPPY)
            // One page or few a row group: an index of pages would tell nothing more.
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_dictionary_page_size_limit(EXPORT_DICTIONARY_BYTES);
        let mut fields = Vec::new();
        for column in columns.iter().cloned().map(ColumnBuffer::new) {
            let name = &column.column.name;
            properties = column.cells.values.tune(name, properties);
            fields.push(Arc::new(column.cells.schema(name)?));
            if let Some(exact) = &column.exact {
                fields.push(Arc::new(exact.schema(&exact_name(name))?));
            }
        }
        let schema = Arc::new(Type::group_type_builder("points").with_fields(fields).build()?);
        let columns = Arc::new(SchemaDescriptor::new(schema.clone()));
        Ok(Self { schema, columns, properties: Arc::new(properties.build()) })
    }
}

impl ParquetEncoder {
    pub(super) fn new(columns: &[Column], form: &ParquetForm) -> Self {
        Self {
            schema: form.columns.clone(),
            properties: form.properties.clone(),
            columns: columns.iter().cloned().map(ColumnBuffer::new).collect(),
            n_rows: 0,
            n_bytes: 0,
            levels: Vec::new(),
            encoded: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn cell(&mut self, column_idx: usize, cell: Cell<'_>) -> Result<(), ExportError> {
        if let Some(column) = self.columns.get_mut(column_idx) {
            self.n_bytes = self.n_bytes.saturating_add(column.push(self.n_rows, cell)?);
        }
        Ok(())
    }

    /// Whether so many rows stand in the row group that is gathered, each of them with cells that take no more memory than these.
    pub(super) fn has_room<'c>(&self, n_rows: usize, cells: impl Iterator<Item = Cell<'c>>) -> bool {
        let n_bytes: usize = cells.map(most_bytes).sum();
        let n_bytes = n_bytes.saturating_mul(n_rows).saturating_add(self.n_bytes);
        self.n_rows.saturating_add(n_rows) <= EXPORT_ROW_GROUP_ROWS && n_bytes < EXPORT_ROW_GROUP_BYTES
    }

    /// Adds the cells of a column, one for each row that [`Self::end_rows`] is to add.
    pub(super) fn column<'c>(
        &mut self,
        column_idx: usize,
        cells: impl Iterator<Item = Cell<'c>>,
    ) -> Result<(), ExportError> {
        let Some(column) = self.columns.get_mut(column_idx) else { return Ok(()) };
        for (row, cell) in (self.n_rows..).zip(cells) {
            self.n_bytes = self.n_bytes.saturating_add(column.push(row, cell)?);
        }
        Ok(())
    }

    /// Ends rows, one or more, for which there was room and whose cells were added column by column.
    pub(super) fn end_rows(&mut self, n_rows: usize) -> Result<(), ExportError> {
        self.n_rows += n_rows.saturating_sub(1);
        self.end_row()
    }

    pub(super) fn end_row(&mut self) -> Result<(), ExportError> {
        self.n_rows += 1;
        if self.n_rows >= EXPORT_ROW_GROUP_ROWS || self.n_bytes >= EXPORT_ROW_GROUP_BYTES {
            self.end_row_group()?;
        }
        Ok(())
    }

    /// Encodes the rows since the last row group as one, if there are any.
    pub(super) fn end_row_group(&mut self) -> Result<(), ExportError> {
        if self.n_rows == 0 {
            return Ok(());
        }
        let mut columns = ColumnEncoder {
            schema: &self.schema,
            properties: &self.properties,
            n_rows: self.n_rows,
            levels: &mut self.levels,
            encoded: Vec::with_capacity(self.schema.num_columns()),
        };
        for column in &mut self.columns {
            columns.add(&mut column.cells)?;
            if let Some(exact) = &mut column.exact {
                columns.add(exact)?;
            }
        }
        self.encoded.push(RowGroup(columns.encoded));
        self.n_rows = 0;
        self.n_bytes = 0;
        Ok(())
    }

    pub(super) fn has_encoded(&self) -> bool {
        !self.encoded.is_empty()
    }

    /// The row groups that are encoded and not taken yet.
    pub(super) fn take_encoded(&mut self) -> Vec<RowGroup> {
        std::mem::take(&mut self.encoded)
    }
}

impl<W: Write + Send> ParquetFile<W> {
    pub(super) fn begin(form: &ParquetForm, out: W) -> Result<Self, ExportError> {
        Ok(Self(SerializedFileWriter::new(Out(Some(out)), form.schema.clone(), form.properties.clone())?))
    }

    pub(super) fn write(&mut self, RowGroup(columns): RowGroup) -> Result<(), ExportError> {
        let mut group = self.0.next_row_group()?;
        for (bytes, column) in columns {
            group.append_column(&bytes, column)?;
        }
        group.close()?;
        Ok(())
    }

    pub(super) fn finish(mut self) -> Result<W, ExportError> {
        self.0.finish()?;
        self.0.inner_mut().0.take().ok_or_else(|| io::Error::other("the writer is gone").into())
    }
}

/// Encodes the columns of a row group one after the other.
struct ColumnEncoder<'a> {
    schema: &'a SchemaDescPtr,
    properties: &'a WriterPropertiesPtr,
    n_rows: usize,
    levels: &'a mut Vec<i16>,
    encoded: Vec<(Bytes, ColumnCloseResult)>,
}

impl ColumnEncoder<'_> {
    /// Encodes the next column and empties it.
    fn add(&mut self, buffer: &mut Buffer) -> Result<(), ParquetError> {
        self.levels.clear();
        let is_optional = buffer.rows.is_some();
        if let Some(rows) = &mut buffer.rows {
            self.levels.resize(self.n_rows, 0);
            for row in rows.drain(..) {
                if let Some(level) = self.levels.get_mut(row) {
                    *level = 1;
                }
            }
        }
        match &mut buffer.values {
            Values::Text(texts) => {
                texts.known.clear();
                self.encode::<ByteArrayType>(&mut texts.values, is_optional)
            }
            Values::Int64(values) => self.encode::<Int64Type>(values, is_optional),
            Values::Int32(values) => self.encode::<Int32Type>(values, is_optional),
            Values::Double(values) => self.encode::<DoubleType>(values, is_optional),
            Values::Bool(values) => self.encode::<BoolType>(values, is_optional),
            Values::Exact(values) => self.encode::<FixedLenByteArrayType>(values, is_optional),
        }
    }

    fn encode<T: DataType>(&mut self, values: &mut Vec<T::T>, is_optional: bool) -> Result<(), ParquetError> {
        let column = self.schema.column(self.encoded.len());
        let mut bytes = TrackedWrite::new(Vec::new());
        let pages = Box::new(SerializedPageWriter::new(&mut bytes));
        let writer = get_column_writer(column, self.properties.clone(), pages);
        let mut writer = get_typed_column_writer::<T>(writer);
        writer.write_batch(values, is_optional.then_some(self.levels.as_slice()), None)?;
        values.clear();
        let closed = writer.close()?;
        self.encoded.push((bytes.into_inner()?.into(), closed));
        Ok(())
    }
}

impl ColumnBuffer {
    fn new(column: Column) -> Self {
        let values = match column.kind {
            ColumnKind::Text => Values::Text(Texts::default()),
            ColumnKind::Integer => Values::Int64(Vec::new()),
            ColumnKind::Count => Values::Int32(Vec::new()),
            ColumnKind::Float | ColumnKind::Value(_) => Values::Double(Vec::new()),
            ColumnKind::Bool => Values::Bool(Vec::new()),
        };
        let rows = match column.presence {
            Presence::Required => None,
            Presence::Optional => Some(Vec::new()),
        };
        let exact = (column.kind == ColumnKind::Value(Inexact::Beside))
            .then(|| Buffer { rows: Some(Vec::new()), values: Values::Exact(Vec::new()) });
        Self { column, cells: Buffer { rows, values }, exact }
    }

    /// Takes the cell of a row; the answer is about how many bytes it is held in.
    #[inline]
    fn push(&mut self, row: usize, cell: Cell<'_>) -> Result<usize, ExportError> {
        let n_bytes = match (&mut self.cells.values, cell) {
            (_, Cell::Missing) => return Ok(0),
            (Values::Text(texts), Cell::Text(text)) => texts.push(text),
            (Values::Int64(values), Cell::Integer(number)) => push(values, number),
            // The same 32 bits: the column's annotation says that they are unsigned.
            (Values::Int32(values), Cell::Count(number)) => push(values, number.cast_signed()),
            (Values::Double(values), Cell::Float(number)) => push(values, number),
            (Values::Double(values), Cell::Value(value)) => {
                if let Some(integer) = beyond_f64(value) {
                    let Some(Buffer { rows: Some(rows), values: Values::Exact(exact) }) = &mut self.exact
                    else {
                        return Err(ExportError::Inexact { column: self.column.name.clone(), value });
                    };
                    rows.push(row);
                    exact.push(decimal(integer));
                }
                push(values, value.as_f64())
            }
            (Values::Bool(values), Cell::Bool(flag)) => push(values, flag),
            (_, cell) => return Err(self.column.misfit(cell.description())),
        };
        let n_row_bytes = self.cells.rows.as_mut().map_or(0, |rows| push(rows, row));
        Ok(n_bytes.saturating_add(n_row_bytes))
    }
}

/// The most bytes that a cell is held in.
fn most_bytes(cell: Cell<'_>) -> usize {
    let text = if let Cell::Text(text) = cell { size_of::<ByteArray>() + text.len() } else { 0 };
    // A number, and the row of an optional cell.
    text + size_of::<u64>() + size_of::<usize>()
}

fn push<T>(values: &mut Vec<T>, value: T) -> usize {
    values.push(value);
    size_of::<T>()
}

/// The integer, if the nearest 64-bit float is another number.
fn beyond_f64(value: MetricValue) -> Option<i128> {
    value.as_integer().filter(|integer| value.as_f64() as i128 != *integer)
}

/// An integer of 64 bits as Parquet's `DECIMAL` has it: two's complement, the highest byte first.
fn decimal(integer: i128) -> FixedLenByteArray {
    let bytes = integer.to_be_bytes();
    let lowest = bytes.last_chunk::<EXACT_BYTES>().map_or(&[][..], |lowest| lowest);
    FixedLenByteArray::from(lowest.to_vec())
}

impl Texts {
    fn push(&mut self, text: &str) -> usize {
        let shared = match self.values.last() {
            Some(last) if last.data() == text.as_bytes() => last.clone(),
            Some(_) | None => match self.known.get(text) {
                Some(known) => known.clone(),
                None => {
                    let new = ByteArray::from(text);
                    self.known.insert(text.into(), new.clone());
                    new
                }
            },
        };
        // Every text counts whole: encoded plainly, each takes its length.
        push(&mut self.values, shared).saturating_add(text.len())
    }
}

impl Values {
    fn tune(&self, name: &str, properties: WriterPropertiesBuilder) -> WriterPropertiesBuilder {
        match self {
            // Steps and attempts go up by small and similar amounts.
            Self::Int64(_) | Self::Int32(_) => {
                let path = ColumnPath::new(vec![name.to_owned()]);
                properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED)
            }
            Self::Text(_) | Self::Double(_) | Self::Bool(_) | Self::Exact(_) => properties,
        }
    }
}

impl Buffer {
    fn schema(&self, name: &str) -> Result<Type, ParquetError> {
        let (physical, logical) = match &self.values {
            Values::Text(_) => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Values::Int64(_) => (Physical::INT64, None),
            Values::Int32(_) => (Physical::INT32, Some(LogicalType::integer(32, false))),
            Values::Double(_) => (Physical::DOUBLE, None),
            Values::Bool(_) => (Physical::BOOLEAN, None),
            Values::Exact(_) => (Physical::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::decimal(0, EXACT_DIGITS))),
        };
        let builder = Type::primitive_type_builder(name, physical).with_logical_type(logical);
        let builder = match self.values {
            Values::Exact(_) => {
                builder.with_length(EXACT_BYTES as i32).with_precision(EXACT_DIGITS).with_scale(0)
            }
            _ => builder,
        };
        let repetition = if self.rows.is_some() { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        builder.with_repetition(repetition).build()
    }
}

/// The writer's own error where there is one, so that the caller sees a broken pipe as such.
impl From<ParquetError> for ExportError {
    fn from(error: ParquetError) -> Self {
        match error {
            ParquetError::External(inner) => match inner.downcast::<io::Error>() {
                Ok(io_error) => Self::Io(*io_error),
                Err(other) => Self::Io(io::Error::other(other)),
            },
            other => Self::Io(io::Error::other(other)),
        }
    }
}
