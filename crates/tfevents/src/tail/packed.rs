//! Event files that are compressed as a whole, with gzip or zlib: their bytes may come in any pieces.

use std::collections::HashSet;
use std::fmt;
use std::io::{self, Write};

use flate2::write::{MultiGzDecoder, ZlibDecoder};

use super::{Ingest, Ingested, Listed};
use crate::limits::FORWARD_HELD_BYTES;
use crate::record::{Damage, DamageKind, crc};
use crate::units::WallTime;

/// How a file is compressed whose content is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// By gzip, which may have several members; TensorFlow's records have it under the same name.
    Gzip,
    /// By zlib, as TensorFlow's records may be.
    Zlib,
}

impl Compression {
    /// By a file's first bytes.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0x1f, 0x8b, 0x08, ..] => Some(Self::Gzip),
            // A deflate window, and a check of both bytes (RFC 1950, 2.2). The length of a record may begin so too.
            [0x78, flags @ (0x01 | 0x5e | 0x9c | 0xda), rest @ ..]
                if !rest.is_empty() && flags & 0x20 == 0 && !begins_record(head) =>
            {
                Some(Self::Zlib)
            }
            _ => None,
        }
    }
}

/// Whether a record's length stands there with its checksum, or may, in so few bytes.
pub(super) fn begins_record(head: &[u8]) -> bool {
    match head.first_chunk::<12>() {
        Some([l0, l1, l2, l3, l4, l5, l6, l7, crc @ ..]) => {
            crc::masked(&[*l0, *l1, *l2, *l3, *l4, *l5, *l6, *l7]) == u32::from_le_bytes(*crc)
        }
        None => head.get(2..8).is_some_and(|length| length.iter().all(|byte| *byte == 0)),
    }
}

/// What the name of a file has behind it that gzip has compressed.
pub(super) const GZIP_ENDING: &str = ".gz";

/// Leaves out of a listing what is there uncompressed too: `x.gz` beside `x`.
pub(crate) fn leave_out_twins(listing: &mut Vec<Listed>) {
    if listing.iter().any(|listed| listed.path.ends_with(GZIP_ENDING)) {
        let paths: HashSet<String> = listing.iter().map(|listed| listed.path.clone()).collect();
        let has_twin = |path: &str| path.strip_suffix(GZIP_ENDING).is_some_and(|plain| paths.contains(plain));
        listing.retain(|listed| !has_twin(&listed.path));
    }
}

/// Gives the content of a compressed file, a little at a time, however much there is.
pub struct Unpacker {
    decoder: Decoder,
    fault: Option<DamageKind>,
    /// All of it is there; zlib has no further member.
    is_over: bool,
    n_bytes: u64,
}

enum Decoder {
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    Zlib(Box<ZlibDecoder<Vec<u8>>>),
}

impl Decoder {
    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Gzip(decoder) => decoder,
            Self::Zlib(decoder) => decoder,
        }
    }

    fn content(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Gzip(decoder) => decoder.get_mut(),
            Self::Zlib(decoder) => decoder.get_mut(),
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        match self {
            Self::Gzip(decoder) => decoder.try_finish(),
            Self::Zlib(decoder) => decoder.try_finish(),
        }
    }
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker").field("n_bytes", &self.n_bytes).field("fault", &self.fault).finish()
    }
}

impl Unpacker {
    /// For a file from its first byte on.
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        let decoder = match compression {
            Compression::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
            Compression::Zlib => Decoder::Zlib(Box::new(ZlibDecoder::new(Vec::new()))),
        };
        Self { decoder, fault: None, is_over: false, n_bytes: 0 }
    }

    /// Takes the next bytes of the file, and hands on what is in them, in pieces of some 32 KiB. Nothing comes any more
    /// behind what is damaged.
    pub fn feed(&mut self, mut bytes: &[u8], content: &mut dyn FnMut(&[u8])) {
        while !bytes.is_empty() && self.fault.is_none() && !self.is_over {
            let written = self.decoder.writer().write(bytes);
            match written {
                Ok(0) => self.is_over = true,
                Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => self.fault = Some(DamageKind::Compression),
            }
            self.hand_on(content);
        }
        // What the decoder holds back until more comes.
        if self.fault.is_none() {
            let _ = self.decoder.writer().flush();
            self.hand_on(content);
        }
    }

    fn hand_on(&mut self, content: &mut dyn FnMut(&[u8])) {
        let held = self.decoder.content();
        if !held.is_empty() {
            self.n_bytes += held.len() as u64;
            content(held);
            held.clear();
        }
    }

    /// How much content there was, in bytes.
    #[must_use]
    pub fn n_bytes(&self) -> u64 {
        self.n_bytes
    }

    /// Whether the bytes so far are damaged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.fault.is_some()
    }

    /// Takes it that there are no more bytes. The answer is what is wrong: at the end of the content, of no length.
    pub fn finish(&mut self) -> Option<Damage> {
        if self.fault.is_none() && !self.is_over {
            self.fault = match self.decoder.finish() {
                Ok(()) => None,
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Some(DamageKind::Unfinished),
                // A checksum that differs, or lacks bytes: then it takes another.
                Err(_) => match self.decoder.writer().write(&[0]) {
                    Ok(1..) => Some(DamageKind::Unfinished),
                    Ok(0) | Err(_) => Some(DamageKind::Compression),
                },
            };
        }
        let kind = self.fault?;
        Some(Damage { offset: self.n_bytes, bytes: 0, kind })
    }
}

/// Reads a compressed event file, whose bytes may arrive in any pieces. Offsets are those of its content.
#[derive(Debug)]
pub struct PackedIngest {
    compression: Compression,
    unpacker: Unpacker,
    /// The content is never asked for again.
    ingest: Ingest,
    /// How much content was told of before, by another process or before a change of the file.
    told: u64,
}

impl PackedIngest {
    /// For a file from its first byte on.
    #[must_use]
    pub fn new(compression: Compression) -> Self {
        let ingest = Ingest::forward_only(FORWARD_HELD_BYTES);
        Self { compression, unpacker: Unpacker::new(compression), ingest, told: 0 }
    }

    /// For a file from its first byte on, of whose content everything before `told` was told; see [`Ingest::resume`].
    #[must_use]
    pub fn resume(compression: Compression, told: u64, started: WallTime, n_records: u64) -> Self {
        let ingest = Ingest::resume_forward(told, started, n_records, FORWARD_HELD_BYTES);
        Self { compression, unpacker: Unpacker::new(compression), ingest, told }
    }

    /// Takes the next bytes of the file. `sink` gets what they say, each with the time at which the file was begun.
    pub fn feed(&mut self, bytes: &[u8], sink: &mut dyn FnMut(WallTime, Ingested<'_>)) {
        let Self { unpacker, ingest, told, .. } = self;
        let mut at = unpacker.n_bytes();
        unpacker.feed(bytes, &mut |content| {
            let end = at + content.len() as u64;
            let n_told = usize::try_from(told.saturating_sub(at)).unwrap_or(usize::MAX).min(content.len());
            let new = content.get(n_told..).unwrap_or_default();
            at = end;
            if !new.is_empty() {
                ingest.feed(new, sink);
                ingest.skip_lost(end);
            }
        });
    }

    /// Takes it that there are no more bytes: what never became a record is told as damage, and so is what is wrong with
    /// the compression.
    pub fn finish(&mut self, sink: &mut dyn FnMut(WallTime, Ingested<'_>)) {
        let end = self.unpacker.n_bytes().max(self.told);
        let fault = self.unpacker.finish();
        let mut torn = None;
        let mut take = |started: WallTime, said: Ingested<'_>| match said {
            // What is wrong with the compression says why the content ends inside a record.
            Ingested::Damage(damage) if damage.kind == DamageKind::Torn && fault.is_some() => {
                torn = Some(damage.offset);
            }
            said => sink(started, said),
        };
        self.ingest.finish(&mut take);
        if self.ingest.next_offset() < end {
            self.ingest.skip_lost(end);
            self.ingest.finish(&mut take);
        }
        if let Some(fault) = fault {
            let offset = torn.unwrap_or(fault.offset);
            let damage = Damage { offset, bytes: fault.offset.saturating_sub(offset), ..fault };
            sink(self.ingest.started().unwrap_or_default(), Ingested::Damage(damage));
        }
    }

    /// Begins anew at the file's first byte, with what was told of left out: the file has changed behind what was damaged.
    pub(super) fn begin_again(&mut self) {
        let told = self.ingest.resume_offset();
        let (started, n_records) = (self.ingest.started().unwrap_or_default(), self.ingest.n_records());
        *self = Self::resume(self.compression, told, started, n_records);
    }

    /// Whether what was read last is damaged: zeros may also unpack to something that is no record.
    pub(super) fn is_damaged(&self) -> bool {
        self.unpacker.is_damaged() || self.ingest.is_lost()
    }

    /// What its content has said so far.
    #[must_use]
    pub fn ingest(&self) -> &Ingest {
        &self.ingest
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::Compression as Level;
    use flate2::read::{GzEncoder, ZlibEncoder};
    use proptest::prelude::*;

    use super::*;
    use crate::event::{encode_file_version, encode_scalars};
    use crate::record;
    use crate::tail::read_bytes;
    use crate::units::Step;

    fn events(n: i64) -> Vec<u8> {
        let mut bytes = Vec::new();
        record::encode(&encode_file_version(WallTime(7.0), "test"), &mut bytes);
        for step in 0..n {
            record::encode(&encode_scalars(WallTime(8.0), Step(step), &[("loss", step as f32)]), &mut bytes);
        }
        bytes
    }

    fn pack(bytes: &[u8], compression: Compression) -> Vec<u8> {
        let mut packed = Vec::new();
        match compression {
            Compression::Gzip => GzEncoder::new(bytes, Level::fast()).read_to_end(&mut packed),
            Compression::Zlib => ZlibEncoder::new(bytes, Level::fast()).read_to_end(&mut packed),
        }
        .expect("no IO");
        packed
    }

    fn said(bytes: &[u8], compression: Compression, chunk: usize) -> Vec<String> {
        let (mut ingest, mut all) = (PackedIngest::new(compression), Vec::new());
        let mut sink = |started: WallTime, said: Ingested<'_>| all.push(format!("{started:?} {said:?}"));
        bytes.chunks(chunk.max(1)).for_each(|piece| ingest.feed(piece, &mut sink));
        ingest.finish(&mut sink);
        all
    }

    fn said_plain(bytes: &[u8]) -> Vec<String> {
        let mut all = Vec::new();
        read_bytes(bytes, &mut |started, said| all.push(format!("{started:?} {said:?}")));
        all
    }

    #[test]
    fn compression_is_known_by_the_first_bytes() {
        #[track_caller]
        fn check(head: &[u8], expected: Option<Compression>) {
            assert_eq!(Compression::of(head), expected);
        }
        check(&pack(&events(1), Compression::Gzip), Some(Compression::Gzip));
        for level in [Level::none(), Level::fast(), Level::default(), Level::best()] {
            let mut packed = Vec::new();
            ZlibEncoder::new(&*events(3), level).read_to_end(&mut packed).expect("no IO");
            check(&packed, Some(Compression::Zlib));
        }
        check(&events(1), None);
        check(b"", None);
        check(b"x", None);
        // A record of 0x0178 bytes.
        let mut long = Vec::new();
        record::encode(&[0; 0x0178], &mut long);
        check(&long, None);
        check(&long[..8], None);
    }

    #[test]
    fn members_behind_each_other_are_one_content() {
        let bytes = events(20);
        let (first, second) = bytes.split_at(bytes.len() / 3);
        let members = [pack(first, Compression::Gzip), pack(second, Compression::Gzip)].concat();
        assert_eq!(said(&members, Compression::Gzip, usize::MAX), said_plain(&bytes));
    }

    #[test]
    fn a_content_of_many_times_the_length_of_its_file_is_never_held() {
        let mut unpacker = Unpacker::new(Compression::Gzip);
        let zeros = io::repeat(0).take(300 << 20);
        let (mut packed, mut longest, mut n) = (Vec::new(), 0, 0);
        GzEncoder::new(zeros, Level::fast()).read_to_end(&mut packed).expect("no IO");
        for piece in packed.chunks(1 << 20) {
            unpacker.feed(piece, &mut |content| {
                longest = longest.max(content.len());
                n += content.len() as u64;
            });
        }
        assert_eq!((unpacker.finish(), n), (None, 300 << 20));
        assert!(packed.len() < 3 << 20 && longest <= 64 << 10, "{} {longest}", packed.len());
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        let bytes = events(20);
        let packed = pack(&bytes, Compression::Gzip);
        let half = packed.len() / 2;
        let mut first = PackedIngest::new(Compression::Gzip);
        let (mut n_first, mut steps) = (0, Vec::new());
        first.feed(&packed[..half], &mut |_, _| n_first += 1);
        let (told, n_records) = (first.ingest().resume_offset(), first.ingest().n_records());
        let started = first.ingest().started().expect("it is begun");
        let mut second = PackedIngest::resume(Compression::Gzip, told, started, n_records);
        second.feed(&packed, &mut |_, said| steps.push(format!("{said:?}")));
        second.finish(&mut |_, said| steps.push(format!("{said:?}")));
        assert!(n_first > 0 && n_first < 21, "{n_first}");
        assert_eq!(n_first + steps.len(), 21, "{steps:?}");
        assert!(steps.iter().all(|said| said.contains("Value")), "{steps:?}");
    }

    proptest! {
        #[test]
        fn compressed_files_say_what_their_content_says(
            n in 0i64..200,
            is_gzip: bool,
            flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..3),
            chunk in 1usize..5_000,
        ) {
            let mut bytes = events(n);
            for (at, flip) in flips {
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
            }
            let compression = if is_gzip { Compression::Gzip } else { Compression::Zlib };
            prop_assert_eq!(said(&pack(&bytes, compression), compression, chunk), said_plain(&bytes));
        }

        #[test]
        fn a_torn_file_gives_the_beginning_and_says_that_it_is_unfinished(cut: prop::sample::Index, chunk in 1usize..5_000) {
            let packed = pack(&events(100), Compression::Gzip);
            let torn = &packed[..cut.index(packed.len()).max(1)];
            let (mut said, all) = (said(torn, Compression::Gzip, chunk), said_plain(&events(100)));
            let last = said.pop().unwrap_or_default();
            prop_assert!(last.contains("Unfinished"), "{last}");
            prop_assert_eq!(&said[..], &all[..said.len()]);
        }

        #[test]
        fn no_bytes_make_it_panic_and_damage_is_told(
            flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 1..4),
            chunk in 1usize..5_000,
        ) {
            let mut packed = pack(&events(100), Compression::Gzip);
            for (at, flip) in flips {
                let at = at.index(packed.len());
                packed[at] ^= flip;
            }
            let first = said(&packed, Compression::Gzip, chunk);
            // The same for any pieces, but for how much of what is damaged came out before that was seen.
            let second = said(&packed, Compression::Gzip, usize::MAX);
            prop_assert_eq!(first.is_empty(), second.is_empty());
        }
    }
}
