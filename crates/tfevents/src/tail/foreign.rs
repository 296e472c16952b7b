//! What a file is that is no event file, by its first bytes and its name.

use super::packed::begins_record;
use crate::record::{FOOTER_BYTES, HEADER_BYTES, crc};

/// How many first bytes tell.
pub const FOREIGN_HEAD_BYTES: usize = 512;

/// What a file is of which nothing is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Foreign {
    /// What it is called: `a zip archive`.
    pub name: &'static str,
    /// The command that unpacks it, to be followed by its path.
    pub unpack: Option<&'static str>,
}

const fn packed(name: &'static str, unpack: &'static str) -> Foreign {
    Foreign { name, unpack: Some(unpack) }
}

const fn other(name: &'static str) -> Foreign {
    Foreign { name, unpack: None }
}

const TAR: Foreign = packed("a tar archive", "tar xf");
const CHECKPOINT: Foreign = other("a TensorFlow checkpoint");

/// What files begin with that are no event files.
const MAGIC: [(&[u8], Foreign); 21] = [
    (b"PK\x03\x04", packed("a zip archive", "unzip")),
    (b"PK\x05\x06", packed("a zip archive", "unzip")),
    (b"\xfd7zXZ\0", packed("an xz file", "xz -dk")),
    (b"\x28\xb5\x2f\xfd", packed("a zstd file", "zstd -d")),
    (b"BZh", packed("a bzip2 file", "bzip2 -dk")),
    (b"\x04\x22\x4d\x18", packed("a lz4 file", "lz4 -d")),
    (b"\x1f\x9d", packed("a compress file", "uncompress")),
    (b"7z\xbc\xaf\x27\x1c", packed("a 7-Zip archive", "7z x")),
    (b"Rar!\x1a\x07", packed("a RAR archive", "unrar x")),
    (b"\x89PNG\r\n\x1a\n", other("a PNG image")),
    (b"\xff\xd8\xff", other("a JPEG image")),
    (b"GIF8", other("a GIF image")),
    (b"%PDF-", other("a PDF document")),
    (b"\x89HDF\r\n\x1a\n", other("an HDF5 file (such as a Keras model)")),
    (b"SQLite format 3\0", other("a SQLite database")),
    (b"PAR1", other("a Parquet table")),
    (b"\x93NUMPY", other("a NumPy array")),
    (b"\x7fELF", other("a program")),
    (b"RIFF", other("a WAV or WebP file")),
    (b"OggS", other("an Ogg file")),
    (b"ARROW1", other("an Arrow file")),
];

/// An archive says so behind the name of its first file.
const TAR_MARK: &[u8] = b"ustar";
const TAR_AT: usize = 257;

/// What a file is of which nothing can be read as events, by its first [`FOREIGN_HEAD_BYTES`] and its path. `None` for an
/// event file, whole, damaged or cut off, and for what may be one.
#[must_use]
pub fn foreign(path: &str, head: &[u8]) -> Option<Foreign> {
    let head = head.get(..FOREIGN_HEAD_BYTES).unwrap_or(head);
    if head.len() >= 8 && begins_record(head) {
        return examples(head);
    }
    let is_tar = head.get(TAR_AT..).is_some_and(|rest| rest.starts_with(TAR_MARK));
    let magic = MAGIC.iter().find(|(magic, _)| head.starts_with(magic)).map(|(_, foreign)| *foreign);
    match magic {
        // `torch.save` has written these since 2020, with this name in the first record.
        Some(Foreign { name: "a zip archive", .. }) if contains(head, b"/data.pkl") => {
            Some(other("a PyTorch checkpoint"))
        }
        Some(foreign) => Some(foreign),
        None if is_tar => Some(TAR),
        None if is_pickle(head) => Some(other("a pickled Python object")),
        None if is_safetensors(head) => Some(other("a safetensors file")),
        None if is_checkpoint(path) && head.len() >= HEADER_BYTES => Some(CHECKPOINT),
        None => text(head),
    }
}

/// Records that are `tf.train.Example`s: an event never has a message as its first field.
fn examples(head: &[u8]) -> Option<Foreign> {
    let (length, rest) = (head.first_chunk::<8>()?, head.get(HEADER_BYTES..)?);
    let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
    let is_message = length > 2 && rest.first() == Some(&0x0a);
    // Where the record is whole it must be intact; a longer one is believed by its header.
    let is_intact = rest.get(..length).is_none_or(|data| {
        let footer = rest.get(length..length.saturating_add(FOOTER_BYTES)).and_then(|f| f.first_chunk::<4>());
        footer.is_none_or(|footer| u32::from_le_bytes(*footer) == crc::masked(data))
    });
    (is_message && is_intact).then_some(other("a TFRecord file of a data set (tf.train.Example)"))
}

fn contains(head: &[u8], part: &[u8]) -> bool {
    head.windows(part.len()).any(|window| window == part)
}

/// The opcodes `PROTO`, and what follows in protocols 2 to 5.
fn is_pickle(head: &[u8]) -> bool {
    match head {
        [0x80, 4 | 5, 0x95, ..] => true,
        [0x80, 2 | 3, next, ..] => b"}](c)XNKGJM".contains(next),
        _ => false,
    }
}

fn is_safetensors(head: &[u8]) -> bool {
    head.get(3..8).is_some_and(|high| high.iter().all(|byte| *byte == 0))
        && head.get(8..10).is_some_and(|json| json == b"{\"")
}

fn is_checkpoint(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.ends_with(".index") || name.contains(".data-0") || name.ends_with(".meta")
}

fn text(head: &[u8]) -> Option<Foreign> {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // The last character is cut off.
        Err(e) if head.len() - e.valid_up_to() < 4 && e.error_len().is_none() => {
            std::str::from_utf8(head.get(..e.valid_up_to())?).ok()?
        }
        Err(_) => return None,
    };
    let is_text = text.len() > 1 && !text.contains(|c: char| c.is_control() && !"\t\n\r".contains(c));
    is_text.then(|| {
        if text.trim_start().starts_with(['{', '[']) {
            other("JSON text")
        } else if text.starts_with("model_checkpoint_path:") {
            CHECKPOINT
        } else {
            other("text")
        }
    })
}

impl Foreign {
    /// That a file is this, in words, with the way out.
    #[must_use]
    pub fn in_words(&self, path: &str) -> String {
        let way_out = match self.unpack {
            Some(command) => format!("unpack it first: {command} {}", quoted(path)),
            None => "move it away, or name the event file or the directory that is meant".to_owned(),
        };
        format!("{path}: is no event file but {}, and left out; {way_out}", self.name)
    }
}

/// A path as a shell takes it for one word.
fn quoted(path: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+=:,@%".contains(c);
    if path.chars().all(is_plain) { path.to_owned() } else { format!("'{}'", path.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{encode_file_version, encode_scalars};
    use crate::record::encode;
    use crate::units::{Step, WallTime};

    fn events() -> Vec<u8> {
        let mut events = Vec::new();
        encode(&encode_file_version(WallTime(1.0), "test"), &mut events);
        encode(&encode_scalars(WallTime(1.0), Step(1), &[("loss", 0.5)]), &mut events);
        events
    }

    #[test]
    fn files_of_other_kinds_are_known_by_their_first_bytes() {
        #[track_caller]
        fn check(head: &[u8], expected: Option<&str>) {
            assert_eq!(foreign("x.tfevents.1", head).map(|foreign| foreign.name), expected);
        }
        let mut tar = vec![b'a'; 512];
        tar.splice(TAR_AT..TAR_AT + 5, *b"ustar");
        check(&tar, Some("a tar archive"));
        check(b"PK\x03\x04..", Some("a zip archive"));
        check(b"PK\x03\x04\0\0\x08\x08archive/data.pkl", Some("a PyTorch checkpoint"));
        check(b"\x28\xb5\x2f\xfd\x04", Some("a zstd file"));
        check(b"\x89PNG\r\n\x1a\n\0\0", Some("a PNG image"));
        check(b"\x80\x04\x95\x10\0", Some("a pickled Python object"));
        check(b"\x80\x02}q\0", Some("a pickled Python object"));
        check(b"{\"loss\": 1}", Some("JSON text"));
        check("grüße\n".as_bytes(), Some("text"));
        check(&"ü".as_bytes().repeat(300)[..511], Some("text"));
        check(b"model_checkpoint_path: \"m\"", Some("a TensorFlow checkpoint"));
        let tensors = [&100_u64.to_le_bytes()[..], b"{\"weight\":{}}"].concat();
        check(&tensors, Some("a safetensors file"));
        let mut examples = Vec::new();
        encode(b"\x0a\x05\x0a\x03abc", &mut examples);
        check(&examples, Some("a TFRecord file of a data set (tf.train.Example)"));
        assert_eq!(foreign("m.ckpt-1.index", &[0; 100]), Some(CHECKPOINT));
    }

    #[test]
    fn no_event_file_is_taken_for_another_whatever_is_wrong_with_it() {
        let events = events();
        for n in 0..events.len() {
            assert_eq!(foreign("x", &events[..n]), None, "{n}");
            let mut damaged = events.clone();
            damaged[n] ^= 0x55;
            assert_eq!(foreign("x", &damaged), None, "{n}");
        }
        assert_eq!(foreign("x", &[0; 512]), None);
        assert_eq!(foreign("x", &events[7..]), None);
    }
}
