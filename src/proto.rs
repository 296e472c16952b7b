//! The messages of `proto/`, as generated at build time.
//!
//! Layer 2. Only [`crate::event`], [`crate::scalar`] and the sinks that speak protobuf may name
//! these types.

#![expect(missing_docs, clippy::large_enum_variant, reason = "generated code; the comments are in proto/")]

include!(concat!(env!("OUT_DIR"), "/tensorflow.rs"));

/// The hyperparameters plugin's.
pub mod hparams {
    include!(concat!(env!("OUT_DIR"), "/tensorboard.hparams.rs"));
}
