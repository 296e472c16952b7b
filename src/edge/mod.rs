//! The only code that touches the world: files, processes, the store, the clock.
//!
//! Layer 8: may import layers 0 to 7. It carries out and reports; what to do is decided below.

pub(crate) mod beside;
pub mod clock;
pub mod files;
pub mod follow;
pub mod fs_watcher;
pub mod home;
pub mod host;
pub mod output;
pub mod outside;
pub mod process;
pub(crate) mod process_table;
pub mod process_tree;
pub mod remote;
pub mod reports;
pub mod signals;
pub mod sink;
pub mod state;
pub mod status;
pub mod store;
pub mod trial_files;
