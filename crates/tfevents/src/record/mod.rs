//! TFRecord framing: bytes to records and back, with both checksums of every record checked.
//!
//! It does no IO and knows nothing of what the records hold.
//!
//! A record on disk, all integers little-endian (TensorFlow, `core/lib/io/record_writer.h`):
//!
//! ```text
//! length: u64 │ masked CRC32C of the 8 length bytes: u32 │ data: length bytes │ masked CRC32C of data: u32
//! ```

pub mod crc;
mod damage;
mod decoder;
mod encoder;
mod search;

pub use damage::{Damage, DamageKind};
pub use decoder::{Decoded, Decoder, Intact, Part, Record};
pub use encoder::encode;
pub use search::find_record;

/// The bytes of a record before its data: the length and its checksum.
pub const HEADER_BYTES: usize = 12;

/// The bytes of a record after its data: the data's checksum.
pub const FOOTER_BYTES: usize = 4;
