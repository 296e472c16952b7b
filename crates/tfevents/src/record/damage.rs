//! What a stretch of a file is called that gave no record.

use std::fmt;

/// A stretch of a file that gave no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Damage {
    /// Where it starts, in bytes from the start of the file.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// What is wrong there.
    pub kind: DamageKind,
}

/// What is wrong with a stretch of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DamageKind {
    /// The checksum of a length does not agree, or the length is one that no record can have.
    Length,
    /// The checksum of a record's data does not agree.
    Data,
    /// The file ends inside a record: it was cut off, or its writer is not done with it.
    Torn,
    /// The framing is intact but the data is no event.
    NotAnEvent,
    /// An intact record that holds more than may be held at once, passed over; see
    /// [`crate::limits::MAX_VALUES_HELD_BYTES`] and [`crate::limits::FORWARD_HELD_BYTES`].
    TooLong,
    /// The file is compressed, and its compressed data is damaged: nothing behind it can be read. The offset is that in the
    /// content, like those of the other kinds in such a file.
    Compression,
    /// The file is compressed, and its compressed data is not all there: it was cut off, or its writer is not done with it.
    Unfinished,
}

impl DamageKind {
    /// A word for it, stable for JSON output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Length => "bad-length",
            Self::Data => "bad-data",
            Self::Torn => "torn",
            Self::NotAnEvent => "not-an-event",
            Self::TooLong => "too-long",
            Self::Compression => "bad-compression",
            Self::Unfinished => "unfinished",
        }
    }

    /// Whether the file may be whole but for what is still to be written.
    #[must_use]
    pub fn may_be_unfinished(self) -> bool {
        matches!(self, Self::Torn | Self::Unfinished)
    }

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        let all = [
            Self::Length,
            Self::Data,
            Self::Torn,
            Self::NotAnEvent,
            Self::TooLong,
            Self::Compression,
            Self::Unfinished,
        ];
        all.into_iter().find(|kind| kind.name() == name)
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            DamageKind::Length => "no record starts here",
            DamageKind::Data => "the data does not match its checksum",
            DamageKind::Torn => "the file ends inside a record: still being written, or cut off",
            DamageKind::NotAnEvent => "the record is no event",
            DamageKind::TooLong => "the record holds more than may be held at once",
            DamageKind::Compression | DamageKind::Unfinished => {
                let what = match self.kind {
                    DamageKind::Compression => {
                        "the compressed data is damaged, and nothing behind can be read"
                    }
                    _ => "the compressed data ends early: still being written, or cut off",
                };
                return write!(f, "{what} ({} bytes of content were read)", self.offset);
            }
        };
        write!(f, "{what} (offset {}, {} bytes)", self.offset, self.bytes)
    }
}
