//! Points to series: one tag of one run directory, with the attempts of a restarted trainer told
//! apart.
//!
//! A trainer that resumes from a checkpoint writes earlier steps again, in a new event file. From
//! the step at which it resumed, its points replace those of the attempt before, and whoever
//! follows the series is told once (a *rewind*). Several trainers may also write to one directory
//! side by side; then nothing is replaced, and of values for the very same step those of one count. And a trainer
//! may pass over its steps again and again. `pass.rs` has the whole model, `attempts.rs` the rules for files that are whole,
//! `stretch.rs` the line between a restart and steps that only fall; [`Live`] follows them while files grow, and [`Series`]
//! keeps the points that it leaves standing.

mod attempts;
mod block;
mod by_tag;
mod course;
mod file_history;
mod history;
mod live;
mod pass;
mod points;
mod rise;
mod sample;
#[expect(clippy::module_inception, reason = "it is the type that the module is named for")]
mod series;
mod small_map;
mod stretch;
mod summary;
mod writer;

use crate::units::{MetricValue, Step, WallTime};

pub use attempts::{Attempts, GoOver, Standing};
pub use by_tag::{ByTag, Recording};
pub use course::{Course, Dropped, Outline};
pub use file_history::FileHistory;
pub use history::{History, Written};
pub use live::{Live, OfferResult, Rewound};
pub use pass::{Position, Shape, begins_pass};
pub use points::Points;
pub use rise::Rise;
pub use sample::Sample;
pub use series::{Offered, Rule, Series};
pub(crate) use small_map::SmallMap;
pub use stretch::{Rewind, RewindReason, Stretches};
pub use summary::TagSummary;
pub use writer::{Rank, Writer, WriterId};

/// A value at a step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The step; the axis of the series.
    pub step: Step,
    /// The writer's clock.
    pub wall_time: WallTime,
    /// The value.
    pub value: MetricValue,
}
