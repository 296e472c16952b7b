//! The messages of `proto/`, as generated at build time.
//!
//! They stay within the crate: [`crate::event`] and [`crate::scalar`] have what they say as types of their own.

#![expect(
    unreachable_pub,
    clippy::large_enum_variant,
    clippy::enum_variant_names,
    reason = "generated code; the comments are in proto/"
)]

include!(concat!(env!("OUT_DIR"), "/tensorflow.rs"));

/// The hyperparameters plugin's.
pub mod hparams {
    include!(concat!(env!("OUT_DIR"), "/tensorboard.hparams.rs"));
}
