//! Files with the name of an event file that are packed: no event file begins with such bytes.

/// How many first bytes tell.
pub const PACKED_HEAD_BYTES: usize = TAR_AT + TAR.len();

/// What the first bytes of packed files are.
const MAGIC: [(&[u8], &str); 5] = [
    (b"\x1f\x8b\x08", "gzip"),
    (b"PK\x03\x04", "zip"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"BZh", "bzip2"),
];

/// An archive says so behind the name of its first file.
const TAR: &[u8] = b"ustar";
const TAR_AT: usize = 257;

/// What a file is packed with, by its first bytes.
#[must_use]
pub fn packed_with(head: &[u8]) -> Option<&'static str> {
    let is_tar = head.get(TAR_AT..).is_some_and(|rest| rest.starts_with(TAR));
    let magic = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, name)| *name);
    magic.or(is_tar.then_some("tar"))
}

/// That a file is packed, in words.
#[must_use]
pub fn packed_in_words(path: &str, with: &str) -> String {
    format!("{path}: packed with {with}, and left out; unpack it first")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_files_are_known_by_their_first_bytes() {
        let mut tar = vec![b'a'; 512];
        tar.splice(TAR_AT..TAR_AT + 5, *b"ustar");
        let mut events = Vec::new();
        let version = crate::event::encode_file_version(crate::units::WallTime(1.0), "test");
        crate::record::encode(&version, &mut events);
        let with = [b"\x1f\x8b\x08\0".as_slice(), b"PK\x03\x04..", &tar, &events, b""].map(packed_with);
        assert_eq!(with, [Some("gzip"), Some("zip"), Some("tar"), None, None]);
    }
}
