//! Reads, follows and writes TensorFlow event files.

pub mod disk;
pub mod event;
pub mod follow;
pub mod limits;
mod proto;
pub mod record;
pub mod scalar;
pub mod series;
pub mod tail;
pub mod units;
