//! Event files on this machine's disks: listing, opening, reading them on several threads.

mod order;
mod pieces;
mod read;
mod root;
mod stat;
mod turns;
mod walk;

pub use order::sort;
pub use pieces::{Assembly, read_in_pieces};
pub use read::{Content, Handle, ReadPacked, Source, in_order, n_threads, read_file, read_files};
pub use root::{Root, shown};
pub(crate) use root::{is_passing, read_at};
