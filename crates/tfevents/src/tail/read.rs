//! Whole event files: from bytes, from a reader, from anything that reads at an offset.

use std::io::{self, Read};

use super::{Ingest, Ingested, Segment, Take};
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
/// Errors of `source`; what was read before is told.
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
/// Errors of `read`; what was read before is told.
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
    /// Errors of `read`; what was read before is told.
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

    /// Reads on to the end of a segment of the file, or to the end of the file. Bytes before the segment are read through
    /// `read`, as by [`Self::read_to_end`].
    ///
    /// # Errors
    /// The errors of `read`; what was read before was passed to `sink`.
    pub fn read_segment(
        &mut self,
        segment: &Segment,
        buffer: &mut [u8],
        mut read: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
        sink: &mut impl Take,
    ) -> io::Result<()> {
        loop {
            let at = self.next_offset();
            if at >= segment.end() {
                return Ok(());
            }
            if at >= segment.offset() {
                self.take_segment(segment, sink);
                continue;
            }
            let missing = usize::try_from(segment.offset() - at).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.get_mut(..missing).unwrap_or_default();
            let n = match read(at, piece) {
                Ok(0) => return Ok(()),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            self.feed(piece.get(..n).unwrap_or(&[]), &mut |started, said: Ingested<'_>| {
                sink.take(started, said)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::segment::{Entry, Scan};
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

    /// What reading in segments of these lengths gives, over and over, of which some could not be read as they came.
    fn in_segments(bytes: &[u8], lengths: &[u32], lost: &[bool], is_scanned: bool) -> Vec<String> {
        let fill = |at: u64, buffer: &mut [u8]| bytes.get(at as usize..).unwrap_or(&[]).read(buffer);
        let (mut ingest, mut segment) = (Ingest::default(), Segment::default());
        let mut all = Vec::new();
        let mut sink = |started, said: Ingested<'_>| all.push(format!("{started:?} {said:?}"));
        let mut at = 0;
        for (length, is_lost) in lengths.iter().cycle().zip(lost.iter().cycle()) {
            if at >= bytes.len() as u64 {
                break;
            }
            segment.read(at, *length, |at, buffer| if *is_lost { Ok(0) } else { fill(at, buffer) });
            if is_scanned {
                segment.scan(Scan::Rises);
            }
            ingest.read_segment(&segment, &mut [0; 64], fill, &mut sink).expect("no IO");
            at += u64::from(*length);
        }
        ingest.read_to_end(&mut [0; 64], fill, &mut sink).expect("no IO");
        all
    }

    fn in_one_piece(bytes: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        read_bytes(bytes, &mut |started, said| all.push(format!("{started:?} {said:?}")));
        all
    }

    #[test]
    fn most_of_a_file_in_segments_is_known_from_their_scans() {
        let bytes = scalars(0..1000);
        let mut segment = Segment::default();
        segment.read(7_000, 3_000, |at, buffer| (&bytes[at as usize..]).read(buffer));
        segment.scan(Scan::Rises);
        let records = segment.records().expect("it has some");
        assert!(records.end - records.start > 2_800, "{records:?}");
        assert!(segment.entries().iter().all(|entry| matches!(entry, Entry::Float { .. })));
    }

    /// What is in a file beside single numbers.
    fn other_events() -> Vec<Vec<u8>> {
        let mut session = vec![0x09];
        session.extend(2.5_f64.to_le_bytes());
        session.extend([0x10, 3, 0x3a, 2, 0x08, 1]);
        vec![
            event::encode_file_version(WallTime(7.0), "test"),
            session,
            event::encode_scalars(WallTime(2.0), Step(5), &[("a", 1.0), ("b", 2.0)]),
            event::encode_scalars(WallTime(2.0), Step(5), &[]),
            vec![0x22, 1, 0],
            b"no event".to_vec(),
            Vec::new(),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        /// Any bytes, any damage, any lengths of the segments.
        #[test]
        fn segments_change_nothing(
            records in prop::collection::vec((0usize..14, 0usize..300), 0..40),
            nested in prop::option::of(0usize..4000),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 1usize..80), 0..6),
            lengths in prop::collection::vec(1u32..2000, 1..6),
            lost in prop::collection::vec(prop::bool::weighted(0.1), 1..6),
            is_long in prop::bool::weighted(0.1),
        ) {
            let others = other_events();
            let mut bytes = Vec::new();
            for (kind, n) in &records {
                match others.get(*kind) {
                    Some(event) => record::encode(event, &mut bytes),
                    None => bytes.extend(scalars(*n as i64..*n as i64 + 1 + *n as i64 % 7)),
                }
            }
            if let Some(at) = nested {
                let inner = bytes.get(..at).unwrap_or(&bytes).to_vec();
                record::encode(&inner, &mut bytes);
                bytes.extend(scalars(0..3));
            }
            if is_long {
                // Too long to be held, and full of records.
                record::encode(&scalars(0..3_000), &mut bytes);
                bytes.extend(scalars(0..3));
            }
            for (at, byte, n) in &changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    let end = bytes.len().min(at + n);
                    match byte % 3 {
                        0 => bytes[at..end].fill(byte / 3),
                        1 => drop(bytes.drain(at..end)),
                        _ => bytes[at] ^= byte,
                    }
                }
            }
            let whole = in_one_piece(&bytes);
            for is_scanned in [true, false] {
                prop_assert_eq!(&in_segments(&bytes, &lengths, &lost, is_scanned), &whole);
            }
        }
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
