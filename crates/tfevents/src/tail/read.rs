//! Whole event files: from bytes, from a reader, from anything that reads at an offset.

use std::io::{self, Read};

use super::{Ingest, Ingested};
use crate::limits::{FORWARD_HELD_BYTES, READ_CHUNK_BYTES};
use crate::units::WallTime;

/// Reads an event file that lies in memory. `sink` gets what it says, each with the clock of the file's
/// first event.
pub fn read_bytes(bytes: &[u8], sink: &mut impl FnMut(WallTime, Ingested<'_>)) {
    let mut ingest = Ingest::default();
    loop {
        let at = usize::try_from(ingest.next_offset()).unwrap_or(usize::MAX);
        match bytes.get(at..) {
            Some(rest) if !rest.is_empty() => ingest.feed(rest, sink),
            _ => {
                ingest.finish(sink);
                if ingest.next_offset() >= bytes.len() as u64 {
                    return;
                }
            }
        }
    }
}

/// Reads an event file from a source that is read once from its start to its end, such as a pipe. What a
/// false length of more than [`FORWARD_HELD_BYTES`] swallows is lost, and told as damage; where the
/// source can go back, [`read_at`] loses nothing.
///
/// # Errors
/// Those of `source`; what was read before is told.
pub fn read(mut source: impl Read, sink: &mut impl FnMut(WallTime, Ingested<'_>)) -> io::Result<()> {
    let mut ingest = Ingest::forward_only(FORWARD_HELD_BYTES);
    let mut buffer = vec![0; READ_CHUNK_BYTES];
    let mut at = 0;
    loop {
        let n = match source.read(&mut buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        ingest.feed(buffer.get(..n).unwrap_or(&[]), sink);
        at += n as u64;
        if n == 0 {
            ingest.finish(sink);
        }
        if ingest.next_offset() < at {
            ingest.skip_lost(at);
            if n == 0 {
                ingest.finish(sink);
            }
        }
        if n == 0 {
            return Ok(());
        }
    }
}

/// Reads an event file through `read`, which fills a buffer from a byte offset of the file and says how
/// much it put there, 0 at the file's end. Pieces are as large as `buffer`.
///
/// # Errors
/// Those of `read`; what was read before is told.
pub fn read_at(
    buffer: &mut [u8],
    read: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
    sink: &mut impl FnMut(WallTime, Ingested<'_>),
) -> io::Result<()> {
    Ingest::default().read_to_end(buffer, read, sink)
}

impl Ingest {
    /// Reads on to the end of the file; see [`read_at`].
    ///
    /// # Errors
    /// Those of `read`; what was read before is told.
    pub fn read_to_end(
        &mut self,
        buffer: &mut [u8],
        mut read: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
        sink: &mut impl FnMut(WallTime, Ingested<'_>),
    ) -> io::Result<()> {
        loop {
            let at = self.next_offset();
            let n = match read(at, buffer) {
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            self.feed(buffer.get(..n).unwrap_or(&[]), sink);
            if n == 0 {
                self.finish(sink);
                if self.next_offset() >= at {
                    return Ok(());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event;
    use crate::limits::MAX_RECORD_HELD_BYTES;
    use crate::record::{self, crc};
    use crate::units::Step;

    fn scalars(steps: std::ops::Range<i64>) -> Vec<u8> {
        let mut bytes = Vec::new();
        for step in steps {
            let event = event::encode_scalars(WallTime(1.0), Step(step), &[("loss", 0.5)]);
            record::encode(&event, &mut bytes);
        }
        bytes
    }

    /// A way of reading: it hands on what the file says.
    type Way<'a> = dyn Fn(&mut dyn FnMut(String)) + 'a;

    /// What each way of reading gives: the steps of the values, and the damages.
    fn ways(bytes: &[u8], chunk: usize) -> [Vec<String>; 3] {
        let ways: [&Way<'_>; 3] = [
            &|say| read_bytes(bytes, &mut |_, said| say(format!("{said:?}"))),
            &|say| {
                let fill = |at: u64, buffer: &mut [u8]| {
                    let mut rest = bytes.get(at as usize..).unwrap_or(&[]);
                    rest.read(buffer)
                };
                read_at(&mut vec![0; chunk], fill, &mut |_, said| say(format!("{said:?}"))).expect("no IO");
            },
            &|say| read(bytes, &mut |_, said| say(format!("{said:?}"))).expect("no IO"),
        ];
        ways.map(|way| {
            let mut all = Vec::new();
            way(&mut |said| all.push(said));
            all
        })
    }

    #[test]
    fn records_behind_a_long_false_length_are_found_where_the_source_can_go_back() {
        let length = FORWARD_HELD_BYTES as u64 + 7;
        let mut bytes = scalars(0..2);
        bytes.extend(length.to_le_bytes());
        bytes.extend(crc::masked(&length.to_le_bytes()).to_le_bytes());
        bytes.extend(scalars(2..4));
        let [from_bytes, at_offsets, forward] = ways(&bytes, 50);
        assert_eq!(from_bytes.len(), 5, "{from_bytes:?}");
        assert_eq!(from_bytes, at_offsets);
        assert_eq!(forward.len(), 3, "{forward:?}");
        assert!(forward[2].contains("Torn"), "{forward:?}");
    }

    proptest! {
        #[test]
        fn every_way_of_reading_gives_the_same(
            n in 0i64..6,
            flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
            chunk in 1usize..90,
        ) {
            let mut bytes = scalars(0..n);
            record::encode(&vec![1; MAX_RECORD_HELD_BYTES + 100], &mut bytes);
            bytes.extend(scalars(n..2 * n));
            for (at, flip) in flips {
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
            }
            let [from_bytes, at_offsets, forward] = ways(&bytes, chunk);
            prop_assert_eq!(&from_bytes, &at_offsets);
            prop_assert_eq!(&from_bytes, &forward);
        }
    }
}
