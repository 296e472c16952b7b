//! Stands in for Parquet in a program without the feature `parquet`: no table of it can be begun.

use std::convert::Infallible;
use std::io::{self, Write};
use std::marker::PhantomData;

use super::ExportError;
use super::table::{Cell, Column};

/// What a table is; there is none.
pub(super) struct ParquetForm(Infallible);

impl ParquetForm {
    pub(super) fn new(_columns: &[Column]) -> Result<Self, ExportError> {
        let absent = "this hptune was built without Parquet (the feature `parquet`)";
        Err(io::Error::new(io::ErrorKind::Unsupported, absent).into())
    }
}

/// Encodes rows; there is none.
pub(super) struct ParquetEncoder(Infallible);

impl ParquetEncoder {
    pub(super) fn new(_columns: &[Column], form: &ParquetForm) -> Self {
        match form.0 {}
    }

    pub(super) fn cell(&mut self, _column_idx: usize, _cell: Cell<'_>) -> Result<(), ExportError> {
        match self.0 {}
    }

    pub(super) fn has_room<'c>(&self, _n_rows: usize, _cells: impl Iterator<Item = Cell<'c>>) -> bool {
        match self.0 {}
    }

    pub(super) fn column<'c>(
        &mut self,
        _column_idx: usize,
        _cells: impl Iterator<Item = Cell<'c>>,
    ) -> Result<(), ExportError> {
        match self.0 {}
    }

    pub(super) fn end_rows(&mut self, _n_rows: usize) -> Result<(), ExportError> {
        match self.0 {}
    }

    pub(super) fn end_row(&mut self) -> Result<(), ExportError> {
        match self.0 {}
    }

    pub(super) fn end_row_group(&mut self) -> Result<(), ExportError> {
        match self.0 {}
    }

    pub(super) fn has_encoded(&self) -> bool {
        match self.0 {}
    }

    pub(super) fn take_encoded(&mut self) -> Vec<RowGroup> {
        match self.0 {}
    }
}

/// Encoded rows; there are none.
pub(super) struct RowGroup(Infallible);

/// A file; there is none.
pub(super) struct ParquetFile<W: Write + Send>(Infallible, PhantomData<W>);

impl<W: Write + Send> ParquetFile<W> {
    pub(super) fn begin(form: &ParquetForm, _out: W) -> Result<Self, ExportError> {
        match form.0 {}
    }

    pub(super) fn write(&mut self, group: RowGroup) -> Result<(), ExportError> {
        match group.0 {}
    }

    pub(super) fn finish(self) -> Result<W, ExportError> {
        match self.0 {}
    }
}
