//! Bytes to records, incrementally: any chunking of a file gives the same records.
//!
//! ```text
//!            whole, both checksums agree
//!           ┌────────── Record ──────────┐
//!           ▼                            │
//!       ┌────────┐  too long to hold  ┌──┴───┐
//!   ──▶ │ Framed │ ─────────────────▶ │ Long │ ── Part, Part, …
//!       └────────┘ ◀──── LongRecord ──└──────┘
//!   header│    ▲                         │
//!  or data│    │ a header that agrees;   │ data wrong
//!   wrong ▼    │ its record is checked   │
//!      ┌───────────┐ before the damage   │
//!      │ Searching │ is told             │
//!      └───────────┘ ◀───────────────────┘
//! ```
//!
//! A search looks at every byte behind a false header, those of a record that was too long to hold
//! included: the decoder then asks for bytes again that it had ([`Decoder::next_offset`]).

use super::search::Header;
use super::{Damage, DamageKind, FOOTER_BYTES, HEADER_BYTES, crc, search};
use crate::limits::{
    CARRY_KEPT_BYTES, MAX_RECORD_HELD_BYTES, READ_CHUNK_BYTES, SEARCH_ALLOWANCE_BYTES, SEARCH_CHECKS_A_BYTE,
};

/// Decodes records from bytes that arrive in any pieces.
///
/// The decoder works on the caller's bytes where a record lies whole within them, and keeps a copy
/// only of a record that straddles two pieces. A record that is longer than may be held is passed on
/// in parts. After [`Decoded::Damage`] the decoder stands behind the damage and goes on; nothing
/// makes it fail for good.
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
    /// Bytes that were checksummed behind headers that turned out to be false.
    checked_in_vain: u64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Framed,
    Long { from: u64, length: u64, crc: u32 },
    Searching,
}

/// What [`Decoder::poll`] found next.
#[derive(Debug, PartialEq)]
pub enum Decoded<'a> {
    /// All input is taken; the bytes from [`Decoder::next_offset`] on are needed. At the end of the
    /// file: nothing is left.
    NeedMore,
    /// A whole record whose two checksums agree.
    Record(Record<'a>),
    /// The next bytes of a record that is longer than may be held. They are not to be believed before
    /// [`Decoded::LongRecord`] comes: what comes instead takes them back.
    Part(Part<'a>),
    /// The record whose parts came has ended, and both its checksums agree.
    LongRecord {
        /// Where the record's header starts, in bytes from the start of the file.
        offset: u64,
        /// The length of its data in bytes.
        length: u64,
    },
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

/// A piece of a long record's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part<'a> {
    /// Where the record's header starts, in bytes from the start of the file.
    pub offset: u64,
    /// The length of the whole record's data in bytes.
    pub length: u64,
    /// Where in the record's data this piece starts; 0 begins a record.
    pub at: u64,
    /// The piece; never empty.
    pub data: &'a [u8],
}

/// Records that lie one behind the other, with nothing wrong; see [`Decoder::take_intact`].
#[derive(Debug)]
#[must_use = "the records are taken from the input"]
pub struct Intact<'a> {
    /// Where the next one starts in the file.
    offset: u64,
    /// From there on.
    bytes: &'a [u8],
    /// How long the data of each is: of the `n` first ones.
    lengths: [u32; INTACT_AT_ONCE],
    n: usize,
    /// Which comes next.
    at: usize,
}

/// How many records are checked at once: their lengths take no more than some lines of the cache.
const INTACT_AT_ONCE: usize = 64;

impl<'a> Iterator for Intact<'a> {
    type Item = Record<'a>;

    #[inline(always)]
    fn next(&mut self) -> Option<Record<'a>> {
        let length = *self.lengths.get(..self.n)?.get(self.at)? as usize;
        let (record, rest) = self.bytes.split_at_checked(HEADER_BYTES + length + FOOTER_BYTES)?;
        let record = Record { offset: self.offset, data: record.get(HEADER_BYTES..HEADER_BYTES + length)? };
        self.at += 1;
        self.offset += (self.bytes.len() - rest.len()) as u64;
        self.bytes = rest;
        Some(record)
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
    Record {
        length: usize,
    },
    Tell {
        damage: Damage,
        consume: usize,
    },
    Take {
        bytes: usize,
    },
    Long {
        length: u64,
    },
    /// `checked` bytes were checksummed in vain.
    Search {
        kind: DamageKind,
        checked: usize,
    },
    Found {
        at: usize,
    },
    NotFound {
        keep: usize,
    },
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

    /// Like [`Decoder::new`], with its own cap on the length of a record that is held, in bytes. For
    /// input that cannot be given again a larger one lets more be found behind a false length.
    #[must_use]
    pub fn with_max_held(offset: u64, max_held: usize) -> Self {
        Self {
            carry: Vec::new(),
            carry_start: 0,
            offset,
            state: State::Framed,
            pending: None,
            max_held,
            checked_in_vain: 0,
        }
    }

    /// The file offset of the byte that is to be fed next. It lies behind the last one that was fed,
    /// but for a search inside a record that was too long to hold: then it falls. A caller that cannot
    /// go back says so with [`Decoder::skip_lost`].
    #[must_use]
    pub fn next_offset(&self) -> u64 {
        self.offset + (self.carry.len() - self.carry_start) as u64
    }

    /// The file offset from which a fresh decoder would go on and lose nothing: the start of the
    /// record, or of the damage, that is not told yet.
    #[must_use]
    pub fn resume_offset(&self) -> u64 {
        match (self.pending, self.state) {
            (Some((from, _)), _) | (None, State::Long { from, .. }) => from,
            (None, State::Framed | State::Searching) => self.offset,
        }
    }

    /// Whether the bytes from [`Self::resume_offset`] on look damaged, with no end of it seen yet.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.pending.is_some()
    }

    /// Goes on at file offset `at`, because what lies before it cannot be given again: records that a
    /// long false length swallowed are lost, and told as part of the damage. So is an intact record
    /// right behind damage that is too long to be held.
    pub fn skip_lost(&mut self, at: u64) {
        if self.next_offset() < at {
            self.pending.get_or_insert((self.offset, DamageKind::TooLong));
            self.state = State::Searching;
            self.clear_carry();
            self.offset = at;
        }
    }

    /// Takes the records that `input` begins with, 64 at most, as long as they lie whole within it and
    /// nothing is wrong: what [`Self::poll`] gives one by one, at less cost where records are short. There
    /// is none where `poll` is to be asked.
    ///
    /// `input` starts at [`Self::next_offset`], and is advanced past all of them.
    #[inline]
    pub fn take_intact<'i>(&mut self, input: &mut &'i [u8]) -> Intact<'i> {
        let mut intact =
            Intact { offset: self.offset, bytes: input, lengths: [0; INTACT_AT_ONCE], n: 0, at: 0 };
        if self.carry.is_empty() && matches!(self.state, State::Framed) && self.pending.is_none() {
            intact.n = crc::count_intact(input, self.longest_held(), &mut intact.lengths);
            let data: usize = intact.lengths.iter().map(|length| *length as usize).sum();
            self.consume(data + intact.n * (HEADER_BYTES + FOOTER_BYTES), input);
        }
        intact
    }

    /// Passes over whole records from `from` to `to` in the file, which were checked elsewhere: their checksums agree, and
    /// none is longer than `longest` bytes. False, with nothing changed, where [`Self::poll`] would not give just these
    /// next: the decoder stands elsewhere, or has something pending.
    pub(crate) fn skip_intact(&mut self, from: u64, to: u64, longest: u64) -> bool {
        let is_next = self.offset == from
            && self.carry_start == self.carry.len()
            && matches!(self.state, State::Framed)
            && self.pending.is_none()
            && self.cost(longest) <= self.longest_checked();
        if is_next {
            self.clear_carry();
            self.offset = to;
        }
        is_next
    }

    /// Decodes the next record of `input`, which is advanced past what was taken.
    ///
    /// `input` starts at [`Self::next_offset`]. Call it until [`Decoded::NeedMore`], by which time
    /// `input` is empty.
    pub fn poll<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8]) -> Decoded<'s> {
        self.advance(input, More::Possible)
    }

    /// Decodes what is left once no more bytes will come: call it until [`Decoded::NeedMore`].
    ///
    /// Records that a false length had swallowed are found here, and what never became a record is
    /// told as damage. Where [`Self::next_offset`] then lies before the end of the file, feed the
    /// bytes from there on, and call this again.
    pub fn poll_end(&mut self) -> Decoded<'_> {
        self.advance(&mut &[][..], More::Never)
    }

    fn advance<'s, 'i: 's>(&'s mut self, input: &mut &'i [u8], more: More) -> Decoded<'s> {
        loop {
            let carried = self.carry_start < self.carry.len();
            if !carried && !self.carry.is_empty() {
                self.clear_carry();
            }
            if let State::Long { from, length, crc } = self.state {
                match self.pass(input, more, from, length, crc) {
                    Passed::Part { at, bytes } => {
                        let (carry_start, whole) = (self.carry_start, *input);
                        self.consume(bytes, input);
                        let data = if carried { self.carry.get(carry_start..).unwrap_or(&[]) } else { whole };
                        let data = data.get(..bytes).unwrap_or(&[]);
                        return Decoded::Part(Part { offset: from, length, at, data });
                    }
                    Passed::Decoded(decoded) => return decoded,
                    Passed::On => continue,
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
                Step::Long { length } => {
                    let from = self.offset;
                    self.consume(HEADER_BYTES, input);
                    self.state = State::Long { from, length, crc: 0 };
                }
                Step::Search { kind, checked } => {
                    self.checked_in_vain += checked as u64;
                    self.pending.get_or_insert((self.offset, kind));
                    self.state = State::Searching;
                    self.consume(1, input);
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
        let header = match search::read_header(window) {
            None if more == More::Possible => return Step::Take { bytes: HEADER_BYTES },
            None if window.is_empty() => return self.tell_pending().unwrap_or(Step::Done),
            None => return Step::Search { kind: DamageKind::Torn, checked: 0 },
            Some(header) => header,
        };
        let length = match header {
            Header::Wrong => return Step::Search { kind: DamageKind::Length, checked: 0 },
            Header::Length(length) if self.cost(length) > self.longest_checked() => {
                return Step::Search { kind: DamageKind::Length, checked: 0 };
            }
            Header::Length(length) if length > self.max_held as u64 => return Step::Long { length },
            Header::Length(length) => length as usize,
        };
        let framed = HEADER_BYTES + length + FOOTER_BYTES;
        let Some(record) = window.get(..framed) else {
            return match more {
                More::Possible => Step::Take { bytes: framed },
                More::Never => Step::Search { kind: DamageKind::Torn, checked: 0 },
            };
        };
        if data_agrees(record, length) {
            return match self.tell_pending() {
                Some(step) => step,
                None => Step::Record { length },
            };
        }
        // Whole records may lie inside, even where the next header stands in its place: bytes may be
        // missing, and those of the records behind fill the gap.
        Step::Search { kind: DamageKind::Data, checked: length }
    }

    /// How long a record may be that is still checked, in bytes: where false headers stand so close that
    /// checking the records behind them comes to many times the file, headers of longer ones are taken
    /// for false. No file makes a search quadratic.
    #[inline]
    fn longest_checked(&self) -> u64 {
        let allowed = SEARCH_ALLOWANCE_BYTES.saturating_add(self.offset.saturating_mul(SEARCH_CHECKS_A_BYTE));
        allowed.saturating_sub(self.checked_in_vain)
    }

    /// What it costs, as a number of bytes, to check a record that turns out to be none. Going back behind
    /// a long one costs another read, however little was passed.
    fn cost(&self, length: u64) -> u64 {
        if length > self.max_held as u64 { length.max(READ_CHUNK_BYTES as u64) } else { length }
    }

    #[inline]
    fn longest_held(&self) -> usize {
        usize::try_from(self.longest_checked()).map_or(self.max_held, |longest| longest.min(self.max_held))
    }

    /// The pending damage, which ends where the decoder stands.
    fn tell_pending(&self) -> Option<Step> {
        let (offset, kind) = self.pending?;
        let damage = Damage { offset, bytes: self.offset - offset, kind };
        Some(Step::Tell { damage, consume: 0 })
    }

    /// Looks for the next place where a length and its checksum agree.
    fn search(&self, window: &[u8], more: More) -> Step {
        let found = search::find_header(window);
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

    /// Goes through a record that is too long to be held. One that a search found is only checked, and
    /// passed on in parts when it is read again, behind the damage.
    fn pass<'s>(&mut self, input: &mut &[u8], more: More, from: u64, length: u64, crc: u32) -> Passed<'s> {
        let at = self.offset - from - HEADER_BYTES as u64;
        let missing = length - at;
        if missing > 0 {
            // The carry holds some of it where a search took more than the header.
            let carried = self.carry.get(self.carry_start..).unwrap_or(&[]);
            let window = if carried.is_empty() { *input } else { carried };
            if window.is_empty() {
                return match more {
                    More::Possible => Passed::Decoded(Decoded::NeedMore),
                    More::Never => self.search_inside(from, DamageKind::Torn, input),
                };
            }
            let bytes = usize::try_from(missing).map_or(window.len(), |missing| missing.min(window.len()));
            let crc = crc32c::crc32c_append(crc, window.get(..bytes).unwrap_or(&[]));
            self.state = State::Long { from, length, crc };
            if self.pending.is_none() {
                return Passed::Part { at, bytes };
            }
            self.consume(bytes, input);
            return Passed::On;
        }
        let window = self.carry.get(self.carry_start..).unwrap_or(&[]);
        let Some(footer) = window.first_chunk::<FOOTER_BYTES>() else {
            if !input.is_empty() {
                self.take(FOOTER_BYTES, input);
                return Passed::On;
            }
            return match more {
                More::Possible => Passed::Decoded(Decoded::NeedMore),
                More::Never => self.search_inside(from, DamageKind::Torn, input),
            };
        };
        if u32::from_le_bytes(*footer) == crc::mask(crc) {
            if let Some((start, kind)) = self.pending.take() {
                self.go_back(from, State::Framed, input);
                let damage = Damage { offset: start, bytes: from - start, kind };
                return Passed::Decoded(Decoded::Damage(damage));
            }
            self.state = State::Framed;
            self.consume(FOOTER_BYTES, input);
            return Passed::Decoded(Decoded::LongRecord { offset: from, length });
        }
        self.search_inside(from, DamageKind::Data, input)
    }

    /// The long record at `from` is none: looks for records inside it, from its second byte on.
    fn search_inside<'s>(&mut self, from: u64, kind: DamageKind, input: &mut &[u8]) -> Passed<'s> {
        self.checked_in_vain += (self.offset - from).max(READ_CHUNK_BYTES as u64);
        self.pending.get_or_insert((from, kind));
        self.go_back(from + 1, State::Searching, input);
        Passed::Decoded(Decoded::NeedMore)
    }

    /// Asks for the bytes from `offset` on again.
    fn go_back(&mut self, offset: u64, state: State, input: &mut &[u8]) {
        self.clear_carry();
        *input = &[];
        self.offset = offset;
        self.state = state;
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

/// What a step through a long record gave.
enum Passed<'s> {
    /// So many bytes from where the decoder stands, which lie `at` bytes into the data, are a part.
    Part {
        at: u64,
        bytes: usize,
    },
    Decoded(Decoded<'s>),
    On,
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
mod tests;
