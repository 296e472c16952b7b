//! A trial's objective: which run and tag it is read from, and what there is to say where it is missing.
//!
//! Layer 2: may import layers 0 and 1 and the reading library. Pure.

mod candidates;
mod collector;
mod filter;
mod lateness;
mod meaning;
pub mod missing;
mod near;
#[expect(clippy::module_inception, reason = "it is the type that the module is named for")]
mod objective;
mod select;
mod words;

pub use candidates::{Candidate, Choice, Why, choose, is_preferred, of_best_split, pattern_of};
pub use collector::{Held, ObjectiveCollector, Overdue, Seen};
pub use filter::{FilterError, SeriesFilter};
pub use lateness::{Burst, burst};
pub use near::{NearMiss, Nearby, Other, Same, measures, near_misses, nearby};
pub use objective::{Change, Objective};
pub use select::RunSelector;
pub use words::{Split, is_number, words};
