//! Event files that a trial writes outside of its directory: `SummaryWriter()` writes to `./runs/DATE_HOST`, Lightning
//! to `./lightning_logs/version_N`, Keras's examples to `./logs/fit/DATE`.
//!
//! The supervisor of a trial looks for them while the trial runs, and writes down what it found
//! ([`OutsideFile`]): the process table and the file's name say whose a file is, the file itself does not. Whoever
//! follows the trial, a later controller too, reads there what belongs to it ([`TrialPlace`]).

mod claims;
mod place;
mod record;
mod search;
mod watches;

pub(crate) use claims::process_in_name;
pub use place::TrialPlace;
pub(crate) use record::known as known_files;
pub use record::{Claim, OutsideFile};
pub(crate) use search::Finding;
pub use search::Search;
