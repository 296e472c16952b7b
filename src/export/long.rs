//! Points in the long form, encoded by several threads.
//!
//! Layer 6. [`LongPoints`] gathers points until there are enough for a batch, [`LongEncoder`] encodes a batch whichever
//! thread calls it, and [`LongFile`] takes what that gives in the order of the batches: the table is the one that
//! [`PointTable`] writes point by point.

use std::collections::HashMap;
use std::io::Write;
use std::sync::Arc;

use super::ExportError;
use super::hparams::{HparamColumns, Hparams};
use super::parquet::ParquetEncoder;
use super::points::{Point, PointTable, Run, long_row};
use super::pool::Pool;
use super::table::{Cell, Encoded, RowEncoder, TableFile, TableForm};
use crate::limits::{EXPORT_ROW_GROUP_BYTES, EXPORT_ROW_GROUP_ROWS};
use crate::units::{MetricValue, RunName, Step, Tag, WallTime};

/// Gathers points of one run after the other.
pub struct LongPoints {
    hparams: HparamColumns,
    run: Option<Arc<Run>>,
    batch: PointBatch,
    memory: Arc<Memory>,
}

/// What was used and is used again.
#[derive(Default)]
struct Memory {
    batches: Pool<PointBatch>,
    encoders: Pool<RowEncoder>,
    texts: Pool<Vec<u8>>,
}

/// Points that are encoded together: as many as a row group of Parquet has.
#[derive(Default)]
pub struct PointBatch {
    /// The runs, each with how many points are before its own.
    runs: Vec<(usize, Arc<Run>)>,
    points: Vec<HeldPoint>,
    tags: Vec<HeldTag>,
    index: HashMap<Tag, u32>,
    /// The tag of the last point.
    last: u32,
    /// How long the tags are together.
    n_tag_bytes: usize,
}

struct HeldPoint {
    tag: u32,
    attempt: u32,
    step: Step,
    wall_time: WallTime,
    value: MetricValue,
}

struct HeldTag {
    tag: Tag,
    /// The tag of the point that came after one of this tag last: writers go through their tags in turn.
    follower: u32,
}

/// Encodes batches.
pub struct LongEncoder {
    form: Arc<TableForm>,
    memory: Arc<Memory>,
}

/// A batch as it stands in the file.
pub struct EncodedPoints(Encoded);

/// The file of the table.
pub struct LongFile<W: Write + Send> {
    file: TableFile<W>,
    memory: Arc<Memory>,
}

impl<W: Write + Send> PointTable<W> {
    /// The parts of a table of the long form to which no point was added.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn into_long(self) -> Result<(LongPoints, LongEncoder, LongFile<W>), ExportError> {
        let (table, hparams) = self.into_table();
        let (form, file) = table.into_parts()?;
        let memory = Arc::<Memory>::default();
        let points = LongPoints { hparams, run: None, batch: PointBatch::default(), memory: memory.clone() };
        Ok((points, LongEncoder { form, memory: memory.clone() }, LongFile { file, memory }))
    }
}

impl LongPoints {
    /// Begins the next run; see [`PointTable::begin_run`].
    ///
    /// # Errors
    /// [`ExportError::Misfit`] if the columns were not made for these hyperparameters.
    pub fn begin_run(&mut self, name: &RunName, hparams: &Hparams) -> Result<(), ExportError> {
        self.run = Some(Arc::new(Run::new(name, self.hparams.row(hparams)?)));
        Ok(())
    }

    /// Adds a point of the run that was begun last. The answer is a batch, where one is full.
    ///
    /// # Errors
    /// [`ExportError::Misfit`] if no run was begun.
    #[inline]
    pub fn point(&mut self, point: &Point<'_>) -> Result<Option<PointBatch>, ExportError> {
        let Some(run) = &self.run else { return Err(Run::missing()) };
        let batch = &mut self.batch;
        if batch.runs.last().is_none_or(|(_, last)| !Arc::ptr_eq(last, run)) {
            batch.runs.push((batch.points.len(), run.clone()));
        }
        let Point { tag, step, wall_time, value, attempt } = *point;
        let tag = batch.tag(tag);
        batch.points.push(HeldPoint { tag, attempt, step, wall_time, value });
        Ok(batch.is_full().then(|| self.take()))
    }

    /// The points since the last batch.
    pub fn take(&mut self) -> PointBatch {
        std::mem::replace(&mut self.batch, self.memory.batches.take().unwrap_or_default())
    }
}

impl PointBatch {
    fn clear(&mut self) {
        self.runs.clear();
        self.points.clear();
        self.tags.clear();
        self.index.clear();
        (self.last, self.n_tag_bytes) = (0, 0);
    }

    fn is_full(&self) -> bool {
        self.points.len() >= EXPORT_ROW_GROUP_ROWS || self.n_tag_bytes >= EXPORT_ROW_GROUP_BYTES
    }

    /// The number of a tag.
    #[inline]
    fn tag(&mut self, tag: &str) -> u32 {
        let follower = self.tags.get(self.last as usize).map_or(0, |last| last.follower);
        if self.tags.get(follower as usize).is_some_and(|held| held.tag.is(tag)) {
            self.last = follower;
            return follower;
        }
        self.look_up(tag)
    }

    #[inline(never)]
    fn look_up(&mut self, tag: &str) -> u32 {
        let at = match self.index.get(tag) {
            Some(at) => *at,
            None => {
                // There are no more tags than points.
                let (tag, at) = (Tag::from(tag), self.tags.len() as u32);
                self.n_tag_bytes += tag.as_str().len();
                self.index.insert(tag.clone(), at);
                self.tags.push(HeldTag { tag, follower: at });
                at
            }
        };
        if let Some(last) = self.tags.get_mut(self.last as usize) {
            last.follower = at;
        }
        self.last = at;
        at
    }

    /// A point, or the same under another tag.
    #[inline]
    fn point<'a>(&'a self, held: &HeldPoint, tag: Option<&'a str>) -> Point<'a> {
        let HeldPoint { attempt, step, wall_time, value, .. } = *held;
        Point { tag: tag.unwrap_or_else(|| self.tag_of(held)), step, wall_time, value, attempt }
    }

    #[inline]
    fn tag_of(&self, held: &HeldPoint) -> &str {
        self.tags.get(held.tag as usize).map_or("", |held| held.tag.as_str())
    }

    /// Adds the rows of [`long_row`], column by column.
    fn add_columns(
        &self,
        run: &Run,
        points: &[HeldPoint],
        columns: &mut ParquetEncoder,
    ) -> Result<(), ExportError> {
        columns.column(0, points.iter().map(|_| Cell::Text(run.name.as_str())))?;
        columns.column(1, points.iter().map(|held| Cell::Text(self.tag_of(held))))?;
        columns.column(2, points.iter().map(|held| Cell::Integer(held.step.0)))?;
        columns.column(3, points.iter().map(|held| Cell::Float(held.wall_time.0)))?;
        columns.column(4, points.iter().map(|held| Cell::Value(held.value)))?;
        columns.column(5, points.iter().map(|held| Cell::Count(held.attempt)))?;
        for (column_idx, cell) in (6..).zip(run.hparams.cells()) {
            columns.column(column_idx, points.iter().map(|_| cell))?;
        }
        columns.end_rows(points.len())
    }

    /// The points of each run.
    fn by_run(&self) -> impl Iterator<Item = (&Run, &[HeldPoint])> {
        let ends = self.runs.iter().skip(1).map(|(first, _)| *first).chain([self.points.len()]);
        self.runs
            .iter()
            .zip(ends)
            .map(|((first, run), end)| (&**run, self.points.get(*first..end).unwrap_or_default()))
    }
}

impl LongEncoder {
    /// Encodes a batch.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn encode(&self, mut batch: PointBatch) -> Result<EncodedPoints, ExportError> {
        let Memory { batches, encoders, texts } = &*self.memory;
        let mut rows = encoders.take().map_or_else(|| RowEncoder::new(self.form.clone()), Ok)?;
        texts.take().into_iter().for_each(|text| rows.encode_into(text));
        let longest_tag = batch.tags.iter().map(|held| held.tag.as_str()).max_by_key(|tag| tag.len());
        for (run, points) in batch.by_run() {
            let Some(first) = points.first() else { continue };
            let largest = batch.point(first, longest_tag);
            match rows.columns(points.len(), long_row(run, &largest)) {
                Some(columns) => batch.add_columns(run, points, columns)?,
                None => {
                    for held in points {
                        rows.row(long_row(run, &batch.point(held, None)))?;
                    }
                }
            }
        }
        let encoded = rows.finish()?;
        encoders.give(rows);
        batch.clear();
        batches.give(batch);
        Ok(EncodedPoints(encoded))
    }
}

impl<W: Write + Send> LongFile<W> {
    /// Writes the next batch.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn write(&mut self, points: EncodedPoints) -> Result<(), ExportError> {
        let EncodedPoints(mut encoded) = points;
        self.file.write(&mut encoded)?;
        if let Encoded::Text(text) = encoded {
            self.memory.texts.give(text);
        }
        Ok(())
    }

    /// Ends the table, flushes the writer and gives it back.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn finish(self) -> Result<W, ExportError> {
        self.file.finish()
    }
}
