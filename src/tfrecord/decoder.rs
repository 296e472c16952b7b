//! Bytes to records, incrementally: any chunking of a file gives the same records.
//!
//! ```text
//!            header agrees, data agrees
//!           ┌───────────── Record ─────────────┐
//!           ▼                                  │
//!       ┌────────┐  length beyond the cap  ┌───┴──────┐
//!   ──▶ │ Framed │ ──────────────────────▶ │ Skipping │
//!       └────────┘ ◀── footer (Damage) ─────└──────────┘
//!         │    ▲
//!  header │    │ a header that agrees; its record is checked before
//!  wrong  ▼    │ the damage is told, else the search goes on inside it
//!      ┌───────────┐
//!      │ Searching │
//!      └───────────┘
//! ```

use std::fmt;

use super::{FOOTER_BYTES, HEADER_BYTES, crc};
use crate::limits::{CARRY_KEPT_BYTES, MAX_RECORD_BYTES, MAX_RECORD_HELD_BYTES};

/// Decodes records from bytes that arrive in any pieces.
///
/// The decoder works on the caller's bytes where a record lies whole within them, and keeps a copy
/// only of a record that straddles two pieces. After [`Decoded::Damage`] it stands behind the
/// damage and goes on; nothing makes it fail for good.
#[derive(Debug)]
pub struct Decoder {
    /// Bytes taken from the input but not yet consumed, from `carry_start` on.
    carry: Vec<u8>,
    carry_start: usize,
    /// File offset of the first byte that is not consumed.
    offset: u64,
    state: State,
    /// Where damage began that is told once its end is known.
    pending: Option<(u64, DamageKind)>,
    max_held: usize,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Framed,
    Skipping { from: u64, length: u64, crc: u32 },
    Searching,
}

/// What [`Decoder::poll`] found next.
#[derive(Debug, PartialEq)]
pub enum Decoded<'a> {
    /// All input is taken; more bytes are needed. At the end of the file: nothing is left.
    NeedMore,
    /// A whole record whose two checksums agree.
    Record(Record<'a>),
    /// Bytes that gave no record; what follows them is read on.
    Damage(Damage),
}

/// A whole record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where the record's header starts, in bytes from the start of the file.
    pub offset: u64,
    /// The data, without framing.
    pub data: &'a [u8],
}

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
    /// An intact record beyond [`MAX_RECORD_HELD_BYTES`], passed over.
    TooLong,
    /// The framing is intact but the data is no event.
    NotAnEvent,
}

impl DamageKind {
    /// A word for it, stable for JSON output.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Length => "bad-length",
            Self::Data => "bad-data",
            Self::Torn => "torn",
            Self::TooLong => "too-long",
            Self::NotAnEvent => "not-an-event",
        }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            DamageKind::Length => "no record starts here",
            DamageKind::Data => "the data does not match its checksum",
            DamageKind::Torn => "the file ends inside a record: still being written, or cut off",
            DamageKind::TooLong => "the record is too long to be held",
            DamageKind::NotAnEvent => "the record is no event",
        };
        write!(f, "{what} (offset {}, {} bytes)", self.offset, self.bytes)
    }
}

/// Whether more bytes may follow those given so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum More {
    Possible,
    Never,
}

/// What a look at the bytes in hand says to do.
enum Step {
    Record { length: usize },
    Tell { damage: Damage, consume: usize },
    Take { bytes: usize },
    Skip { length: u64 },
    Search { kind: DamageKind, from: usize },
    Found { at: usize },
    NotFound { keep: usize },
    Done,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Decoder {
    /// A decoder whose first byte of input lies `offset` bytes into its file, at a record's start.
    #[must_use]
    pub fn new(offset: u64) -> Self {
        Self::with_max_held(offset, MAX_RECORD_HELD_BYTES)
    }

    /// Like [`Decoder::new`], with its own cap on the length of a record that is held, in bytes.
    #[must_use]
    pub fn with_max_held(offset: u64, max_held: usize) -> Self {
        let state = State::Framed;
        Self { carry: Vec::new(), carry_start: 0, offset, state, pending: None, max_held }
    }

    /// The file offset from which a fresh decoder would go on and lose nothing: the start of the
    /// record, or of the damage, that is not told yet.
    #[must_use]
    pub fn resume_offset(&self) -> u64 {
        match (self.pending, self.state) {
            (Some((from, _)), _) | (None, State::Skipping { from, .. }) => from,
            (None, State::Framed | State::Searching) => self.offset,
        }
    }

    /// Whether the bytes from [`Self::resume_offset`] on look damaged, with no end of it seen yet.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.pending.is_some()
    }

    /// Decodes the next record of `input`, which is advanced past what was taken.
    ///
    /// Call it until [`Decoded::NeedMore`], by which time `input` is empty.
    pub fn poll<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Decoded<'s> {
        self.advance(input, More::Possible)
    }

    /// Decodes what is left once no more bytes will come: call it until [`Decoded::NeedMore`].
    ///
    /// Records that a false length had swallowed are found here, and what never became a record is
    /// told as damage.
    pub fn poll_end(&mut self) -> Decoded<'_> {
        self.advance(&mut &[][..], More::Never)
    }

    fn advance<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8], more: More) -> Decoded<'s> {
        loop {
            let carried = self.carry_start < self.carry.len();
            if !carried && !self.carry.is_empty() {
                self.clear_carry();
            }
            if let State::Skipping { from, length, crc } = self.state {
                match self.skip(input, more, from, length, crc) {
                    Some(decoded) => return decoded,
                    None => continue,
                }
            }
            let window = if carried { self.carry.get(self.carry_start..).unwrap_or(&[]) } else { *input };
            match self.judge(window, more) {
                Step::Record { length } => {
                    let framed = HEADER_BYTES + length + FOOTER_BYTES;
                    let offset = self.offset;
                    self.offset += framed as u64;
                    let record = if carried {
                        let start = self.carry_start;
                        self.carry_start += framed;
                        self.carry.get(start..).unwrap_or(&[])
                    } else {
                        let (record, rest) = input.split_at(framed);
                        *input = rest;
                        record
                    };
                    let data = record.get(HEADER_BYTES..HEADER_BYTES + length).unwrap_or(&[]);
                    return Decoded::Record(Record { offset, data });
                }
                Step::Tell { damage, consume } => {
                    self.pending = None;
                    self.state = State::Framed;
                    self.consume(consume, input);
                    return Decoded::Damage(damage);
                }
                Step::Take { bytes } => {
                    if input.is_empty() {
                        return Decoded::NeedMore;
                    }
                    self.take(bytes, input);
                }
                Step::Skip { length } => {
                    let from = self.offset;
                    self.consume(HEADER_BYTES, input);
                    self.state = State::Skipping { from, length, crc: 0 };
                }
                Step::Search { kind, from } => {
                    self.pending.get_or_insert((self.offset, kind));
                    self.state = State::Searching;
                    self.consume(from, input);
                }
                Step::Found { at } => {
                    self.state = State::Framed;
                    self.consume(at, input);
                }
                Step::NotFound { keep } => {
                    let dropped = window.len() - keep;
                    self.consume(dropped, input);
                    if input.is_empty() && more == More::Possible {
                        return Decoded::NeedMore;
                    }
                    self.take(CARRY_KEPT_BYTES, input);
                }
                Step::Done => return Decoded::NeedMore,
            }
        }
    }

    /// Looks at the bytes from `self.offset` on. Decides, changes nothing.
    fn judge(&self, window: &[u8], more: More) -> Step {
        if matches!(self.state, State::Searching) {
            return self.search(window, more);
        }
        let tell = |bytes: usize, kind| {
            let damage = Damage { offset: self.offset, bytes: bytes as u64, kind };
            Step::Tell { damage, consume: bytes }
        };
        let header = match read_header(window) {
            None if more == More::Possible => return Step::Take { bytes: HEADER_BYTES },
            None if window.is_empty() => return self.tell_pending().unwrap_or(Step::Done),
            None => return Step::Search { kind: DamageKind::Torn, from: 1 },
            Some(header) => header,
        };
        let length = match header {
            Header::Wrong => return Step::Search { kind: DamageKind::Length, from: 1 },
            Header::Length(length) if length > self.max_held as u64 => {
                return match self.tell_pending() {
                    Some(step) => step,
                    None => Step::Skip { length },
                };
            }
            Header::Length(length) => length as usize,
        };
        let framed = HEADER_BYTES + length + FOOTER_BYTES;
        let Some(record) = window.get(..framed) else {
            return match more {
                More::Possible => Step::Take { bytes: framed },
                More::Never => Step::Search { kind: DamageKind::Torn, from: 1 },
            };
        };
        if data_agrees(record, length) {
            return match self.tell_pending() {
                Some(step) => step,
                None => Step::Record { length },
            };
        }
        if self.pending.is_some() {
            // The header found by a search was chance: the search goes on inside.
            return Step::Search { kind: DamageKind::Length, from: 1 };
        }
        // Only where the next header stands in its place is the length to be believed; otherwise
        // bytes are missing or added, and whole records may lie inside this one.
        let rest = window.get(framed..).unwrap_or(&[]);
        match (read_header(rest), more) {
            (Some(Header::Length(_)), _) => tell(framed, DamageKind::Data),
            (None, More::Never) if rest.is_empty() => tell(framed, DamageKind::Data),
            (None, More::Possible) => Step::Take { bytes: framed + HEADER_BYTES },
            (Some(Header::Wrong) | None, _) => Step::Search { kind: DamageKind::Data, from: 1 },
        }
    }

    /// The pending damage, which ends where the decoder stands.
    fn tell_pending(&self) -> Option<Step> {
        let (offset, kind) = self.pending?;
        let damage = Damage { offset, bytes: self.offset - offset, kind };
        Some(Step::Tell { damage, consume: 0 })
    }

    /// Looks for the next place where a length and its checksum agree.
    fn search(&self, window: &[u8], more: More) -> Step {
        let found = window.windows(HEADER_BYTES).position(|bytes| {
            // The upper half of a real length is zero: most places fail here, without a checksum.
            matches!(bytes, [_, _, _, _, 0, 0, 0, 0, ..])
                && matches!(read_header(bytes), Some(Header::Length(length)) if length <= self.max_held as u64)
        });
        match (found, more) {
            (Some(at), _) => Step::Found { at },
            (None, More::Possible) => Step::NotFound { keep: window.len().min(HEADER_BYTES - 1) },
            (None, More::Never) => match self.pending {
                Some((offset, kind)) => {
                    let bytes = self.offset - offset + window.len() as u64;
                    Step::Tell { damage: Damage { offset, bytes, kind }, consume: window.len() }
                }
                None => Step::Done,
            },
        }
    }

    /// Passes over the rest of a record that is too long to be held; its checksum still counts.
    fn skip<'s>(
        &mut self,
        input: &mut &[u8],
        more: More,
        from: u64,
        length: u64,
        crc: u32,
    ) -> Option<Decoded<'s>> {
        let passed = self.offset - from - HEADER_BYTES as u64;
        let missing = length - passed;
        if missing > 0 {
            // The header was the last that could lie in the carry: everything here is input.
            let window = if self.carry_start < self.carry.len() {
                self.carry.get(self.carry_start..).unwrap_or(&[])
            } else {
                *input
            };
            if window.is_empty() {
                return match more {
                    More::Possible => Some(Decoded::NeedMore),
                    More::Never => {
                        self.state = State::Framed;
                        Some(self.told(from, DamageKind::Torn))
                    }
                };
            }
            let n = usize::try_from(missing).map_or(window.len(), |missing| missing.min(window.len()));
            let crc = crc32c::crc32c_append(crc, window.get(..n).unwrap_or(&[]));
            self.state = State::Skipping { from, length, crc };
            self.consume(n, input);
            return None;
        }
        let footer = self.carry.get(self.carry_start..).unwrap_or(&[]).first_chunk::<FOOTER_BYTES>().copied();
        match footer {
            Some(footer) => {
                let intact = u32::from_le_bytes(footer) == crc::mask(crc);
                self.consume(FOOTER_BYTES, input);
                self.state = State::Framed;
                let kind = if intact { DamageKind::TooLong } else { DamageKind::Data };
                Some(self.told(from, kind))
            }
            None if input.is_empty() && more == More::Never => {
                let rest = self.carry.len() - self.carry_start;
                self.consume(rest, input);
                self.state = State::Framed;
                Some(self.told(from, DamageKind::Torn))
            }
            None if input.is_empty() => Some(Decoded::NeedMore),
            None => {
                self.take(FOOTER_BYTES, input);
                None
            }
        }
    }

    fn told<'a>(&self, from: u64, kind: DamageKind) -> Decoded<'a> {
        Decoded::Damage(Damage { offset: from, bytes: self.offset - from, kind })
    }

    /// Moves input to the carry until it holds `bytes` unconsumed bytes, or the input is empty.
    fn take(&mut self, bytes: usize, input: &mut &[u8]) {
        let held = self.carry.len() - self.carry_start;
        let n = bytes.saturating_sub(held).min(input.len());
        if self.carry_start > held {
            self.carry.drain(..self.carry_start);
            self.carry_start = 0;
        }
        let (head, rest) = input.split_at(n);
        self.carry.extend_from_slice(head);
        *input = rest;
    }

    /// Drops `n` bytes from where the decoder stands: all in the carry, or all in the input.
    fn consume(&mut self, n: usize, input: &mut &[u8]) {
        self.offset += n as u64;
        if self.carry_start < self.carry.len() {
            self.carry_start += n;
        } else {
            *input = input.get(n..).unwrap_or(&[]);
        }
    }

    fn clear_carry(&mut self) {
        self.carry_start = 0;
        if self.carry.capacity() > CARRY_KEPT_BYTES {
            self.carry = Vec::new();
        } else {
            self.carry.clear();
        }
    }
}

enum Header {
    Length(u64),
    Wrong,
}

/// Reads the header at the start of `window`; `None` where it is not whole.
fn read_header(window: &[u8]) -> Option<Header> {
    let (length, rest) = window.split_first_chunk::<8>()?;
    let expected = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    let value = u64::from_le_bytes(*length);
    let valid = value <= MAX_RECORD_BYTES && crc::masked(length) == expected;
    Some(if valid { Header::Length(value) } else { Header::Wrong })
}

/// Whether the data of a framed record of `length` data bytes matches its checksum.
fn data_agrees(record: &[u8], length: usize) -> bool {
    let Some((data, footer)) = record.get(HEADER_BYTES..).and_then(|body| body.split_at_checked(length))
    else {
        return false;
    };
    footer.first_chunk().is_some_and(|footer| u32::from_le_bytes(*footer) == crc::masked(data))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::encode;
    use super::*;

    /// Owned form of [`Decoded`], for comparing.
    #[derive(Debug, Clone, PartialEq)]
    enum Got {
        Record(u64, Vec<u8>),
        Damage(u64, u64, DamageKind),
    }

    fn own(decoded: &Decoded<'_>) -> Option<Got> {
        match decoded {
            Decoded::NeedMore => None,
            Decoded::Record(r) => Some(Got::Record(r.offset, r.data.to_vec())),
            Decoded::Damage(d) => Some(Got::Damage(d.offset, d.bytes, d.kind)),
        }
    }

    fn feed(decoder: &mut Decoder, mut input: &[u8], got: &mut Vec<Got>) {
        while let Some(item) = own(&decoder.poll(&mut input)) {
            got.push(item);
        }
        assert!(input.is_empty(), "all input is taken");
    }

    fn end(decoder: &mut Decoder, got: &mut Vec<Got>) {
        while let Some(item) = own(&decoder.poll_end()) {
            got.push(item);
        }
    }

    fn decode_in(chunks: &[&[u8]], max_held: usize) -> Vec<Got> {
        let mut decoder = Decoder::with_max_held(0, max_held);
        let mut got = Vec::new();
        for chunk in chunks {
            feed(&mut decoder, chunk, &mut got);
        }
        end(&mut decoder, &mut got);
        got
    }

    fn decode(bytes: &[u8]) -> Vec<Got> {
        decode_in(&[bytes], MAX_RECORD_HELD_BYTES)
    }

    fn file(records: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for record in records {
            encode(record, &mut bytes);
        }
        bytes
    }

    fn records(got: &[Got]) -> Vec<&[u8]> {
        got.iter()
            .filter_map(|g| match g {
                Got::Record(_, data) => Some(data.as_slice()),
                Got::Damage(..) => None,
            })
            .collect()
    }

    fn damages(got: &[Got]) -> Vec<(u64, u64, DamageKind)> {
        got.iter()
            .filter_map(|g| match g {
                Got::Record(..) => None,
                Got::Damage(offset, bytes, kind) => Some((*offset, *bytes, *kind)),
            })
            .collect()
    }

    #[test]
    fn a_file_cut_at_every_byte_gives_the_whole_records_and_later_the_rest_once() {
        let bytes = file(&[b"one", b"", b"three"]);
        let whole = decode(&bytes);
        for cut in 0..=bytes.len() {
            let (head, tail) = bytes.split_at(cut);
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            feed(&mut decoder, head, &mut got);
            let n_whole = [19, 35, 56].iter().filter(|end| **end <= cut).count();
            assert_eq!(got, whole[..n_whole], "cut at {cut}");
            feed(&mut decoder, tail, &mut got);
            end(&mut decoder, &mut got);
            assert_eq!(got, whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_wrong_data_checksum_costs_its_own_record() {
        let mut bytes = file(&[b"one", b"two", b"three"]);
        bytes[19 + HEADER_BYTES] ^= 1;
        let got = decode(&bytes);
        assert_eq!(records(&got), [b"one".as_slice(), b"three"]);
        assert_eq!(damages(&got), [(19, 19, DamageKind::Data)]);
    }

    #[test]
    fn a_wrong_length_costs_its_own_record() {
        #[track_caller]
        fn check(length: u64, with_valid_checksum: bool) {
            let mut bytes = file(&[b"one", b"two", b"three", b"four"]);
            bytes[19..27].copy_from_slice(&length.to_le_bytes());
            if with_valid_checksum {
                let crc = crc::masked(&length.to_le_bytes());
                bytes[27..31].copy_from_slice(&crc.to_le_bytes());
            }
            let got = decode(&bytes);
            assert_eq!(records(&got), [b"one".as_slice(), b"three", b"four"], "length {length}");
            assert_eq!(damages(&got).len(), 1, "{got:?}");
            assert_eq!((damages(&got)[0].0, damages(&got)[0].1), (19, 19), "length {length}");
        }
        check(4, false);
        check(0, true);
        check(2, true);
        check(4, true);
        check(20, true);
        check(1 << 20, true);
        check(1 << 63, true);
        check(u64::MAX, true);
    }

    #[test]
    fn missing_and_added_bytes_cost_the_records_they_touch() {
        let whole = file(&[b"one", b"twotwo", b"three", b"four"]);
        let mut short = whole.clone();
        short.drain(33..36);
        assert_eq!(records(&decode(&short)), [b"one".as_slice(), b"three", b"four"]);
        let mut long = whole;
        long.splice(33..33, [7; 5]);
        assert_eq!(records(&decode(&long)), [b"one".as_slice(), b"three", b"four"]);
    }

    #[test]
    fn zeros_at_the_end_are_pending_until_the_end() {
        let mut bytes = file(&[b"one"]);
        bytes.extend_from_slice(&[0; 4096]);
        let mut decoder = Decoder::default();
        let mut got = Vec::new();
        feed(&mut decoder, &bytes, &mut got);
        assert_eq!(got.len(), 1);
        assert!(decoder.is_lost());
        assert_eq!(decoder.resume_offset(), 19);
        end(&mut decoder, &mut got);
        assert_eq!(damages(&got), [(19, 4096, DamageKind::Length)]);
    }

    #[test]
    fn a_record_beyond_the_cap_is_passed_over() {
        let long = vec![7; 1000];
        let mut bytes = file(&[b"one", &long, b"three"]);
        let got = decode_in(&[&bytes], 100);
        assert_eq!(records(&got), [b"one".as_slice(), b"three"]);
        assert_eq!(damages(&got), [(19, 1016, DamageKind::TooLong)]);
        bytes[500] ^= 1;
        let got = decode_in(&[&bytes], 100);
        assert_eq!(records(&got), [b"one".as_slice(), b"three"]);
        assert_eq!(damages(&got), [(19, 1016, DamageKind::Data)]);
        let got = decode_in(&[&bytes[..500]], 100);
        assert_eq!(damages(&got), [(19, 481, DamageKind::Torn)]);
    }

    #[test]
    fn a_large_record_leaves_no_large_buffer_behind() {
        let large = vec![1; CARRY_KEPT_BYTES * 4];
        let bytes = file(&[&large, b"small"]);
        let mut decoder = Decoder::default();
        let mut got = Vec::new();
        for chunk in bytes.chunks(1000) {
            feed(&mut decoder, chunk, &mut got);
        }
        assert_eq!(got.len(), 2);
        assert!(decoder.carry.capacity() <= CARRY_KEPT_BYTES);
    }

    fn chunked(bytes: &[u8], sizes: &[usize]) -> Vec<Got> {
        let mut chunks = Vec::new();
        let mut rest = bytes;
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (head, tail) = rest.split_at((*size).min(rest.len()));
            chunks.push(head);
            rest = tail;
        }
        decode_in(&chunks, 64)
    }

    fn any_records() -> impl Strategy<Value = Vec<Vec<u8>>> {
        prop::collection::vec(prop::collection::vec(any::<u8>(), 0..90), 0..12)
    }

    proptest! {
        #[test]
        fn encode_then_decode_is_the_identity(data in any_records()) {
            let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            let got = decode(&file(&slices));
            prop_assert_eq!(records(&got), slices);
        }

        #[test]
        fn any_chunking_gives_the_same(
            data in any_records(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), 1u8..), 0..4),
            sizes in prop::collection::vec(1usize..40, 1..8),
        ) {
            let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            let mut bytes = file(&slices);
            for (at, flip) in flips {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] ^= flip;
                }
            }
            prop_assert_eq!(chunked(&bytes, &sizes), decode_in(&[&bytes], 64));
        }

        #[test]
        fn damage_costs_only_the_records_it_touches(
            data in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..12),
            at in any::<prop::sample::Index>(),
            flip in 1u8..,
        ) {
            let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
            let mut bytes = file(&slices);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            let mut end = 0;
            let untouched: Vec<&[u8]> = slices
                .iter()
                .filter(|data| {
                    let start = end;
                    end += HEADER_BYTES + data.len() + FOOTER_BYTES;
                    !(start..end).contains(&at)
                })
                .copied()
                .collect();
            let got = decode(&bytes);
            prop_assert_eq!(records(&got), untouched);
            prop_assert_eq!(damages(&got).len(), 1);
        }

        #[test]
        fn every_byte_is_either_record_or_damage(bytes in prop::collection::vec(prop_oneof![Just(0u8), any::<u8>()], 0..300)) {
            let mut next = 0;
            for got in decode(&bytes) {
                let (offset, length) = match got {
                    Got::Record(offset, data) => (offset, (HEADER_BYTES + data.len() + FOOTER_BYTES) as u64),
                    Got::Damage(offset, length, _) => (offset, length),
                };
                prop_assert_eq!(offset, next);
                next += length;
            }
            prop_assert_eq!(next, bytes.len() as u64);
        }
    }
}
