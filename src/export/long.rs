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
use super::points::{Point, PointTable, Run, long_row};
use super::table::{Encoded, RowEncoder, TableFile, TableForm};
use crate::limits::{EXPORT_ROW_GROUP_BYTES, EXPORT_ROW_GROUP_ROWS};
use crate::units::{MetricValue, RunName, Step, Tag, WallTime};

/// Gathers points of one run after the other.
pub struct LongPoints {
    hparams: HparamColumns,
    run: Option<Arc<Run>>,
    batch: PointBatch,
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
pub struct LongEncoder(Arc<TableForm>);

/// A batch as it stands in the file.
pub struct EncodedPoints(Encoded);

/// The file of the table.
pub struct LongFile<W: Write + Send>(TableFile<W>);

impl<W: Write + Send> PointTable<W> {
    /// The parts of a table of the long form to which no point was added.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn into_long(self) -> Result<(LongPoints, LongEncoder, LongFile<W>), ExportError> {
        let (table, hparams) = self.into_table();
        let (form, file) = table.into_parts()?;
        let points = LongPoints { hparams, run: None, batch: PointBatch::default() };
        Ok((points, LongEncoder(form), LongFile(file)))
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
        std::mem::take(&mut self.batch)
    }
}

impl PointBatch {
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
    pub fn encode(&self, batch: &PointBatch) -> Result<EncodedPoints, ExportError> {
        let mut rows = RowEncoder::new(self.0.clone())?;
        for (run, points) in batch.by_run() {
            for &HeldPoint { tag, attempt, step, wall_time, value } in points {
                let tag = batch.tags.get(tag as usize).map_or("", |held| held.tag.as_str());
                rows.row(long_row(run, &Point { tag, step, wall_time, value, attempt }))?;
            }
        }
        Ok(EncodedPoints(rows.finish()?))
    }
}

impl<W: Write + Send> LongFile<W> {
    /// Writes the next batch.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn write(&mut self, points: EncodedPoints) -> Result<(), ExportError> {
        self.0.write(points.0)
    }

    /// Ends the table, flushes the writer and gives it back.
    ///
    /// # Errors
    /// [`ExportError::Io`].
    pub fn finish(self) -> Result<W, ExportError> {
        self.0.finish()
    }
}
