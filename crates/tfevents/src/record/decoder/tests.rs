//! What the decoder promises.

use proptest::prelude::*;

use super::super::encode;
use super::*;

/// Owned form of [`Decoded`], for comparing; a long record put together.
#[derive(Debug, Clone, PartialEq)]
enum Got {
    Record(u64, Vec<u8>),
    Damage(u64, u64, DamageKind),
}

/// Takes what a decoder gives.
#[derive(Default)]
struct Taker {
    /// Whether what is intact is taken many at once.
    takes_many: bool,
    got: Vec<Got>,
    parts: Vec<u8>,
}

impl Taker {
    /// Takes one item; false where there is none.
    fn take(&mut self, decoded: &Decoded<'_>) -> bool {
        match decoded {
            Decoded::NeedMore => return false,
            Decoded::Record(r) => self.got.push(Got::Record(r.offset, r.data.to_vec())),
            Decoded::Damage(d) => self.got.push(Got::Damage(d.offset, d.bytes, d.kind)),
            Decoded::Part(part) => {
                if part.at == 0 {
                    self.parts.clear();
                }
                assert_eq!(part.at, self.parts.len() as u64);
                assert!(!part.data.is_empty());
                self.parts.extend_from_slice(part.data);
                assert!(self.parts.len() as u64 <= part.length);
            }
            Decoded::LongRecord { offset, length } => {
                assert_eq!(*length, self.parts.len() as u64);
                self.got.push(Got::Record(*offset, std::mem::take(&mut self.parts)));
            }
        }
        true
    }

    fn feed(&mut self, decoder: &mut Decoder, mut input: &[u8]) {
        loop {
            if self.takes_many {
                let records = decoder.take_intact(&mut input);
                self.got.extend(records.map(|r| Got::Record(r.offset, r.data.to_vec())));
            }
            if !self.take(&decoder.poll(&mut input)) {
                break;
            }
        }
        assert!(input.is_empty(), "all input is taken");
    }
}

/// Decodes `bytes` in pieces of these sizes, over and over, giving again what is asked for again.
fn decode_in(bytes: &[u8], sizes: &[usize], max_held: usize) -> Vec<Got> {
    let [got, many] = [false, true].map(|takes_many| {
        let taker = Taker { takes_many, ..Taker::default() };
        decode_with(taker, bytes, sizes, max_held)
    });
    assert_eq!(got, many, "taken one by one and many at once");
    got
}

fn decode_with(mut taker: Taker, bytes: &[u8], sizes: &[usize], max_held: usize) -> Vec<Got> {
    let mut decoder = Decoder::with_max_held(0, max_held);
    for size in sizes.iter().cycle() {
        let next = usize::try_from(decoder.next_offset()).expect("it fits");
        if next < bytes.len() {
            taker.feed(&mut decoder, &bytes[next..bytes.len().min(next + size)]);
            continue;
        }
        while taker.take(&decoder.poll_end()) {}
        if decoder.next_offset() == bytes.len() as u64 {
            break;
        }
    }
    taker.got
}

fn decode(bytes: &[u8]) -> Vec<Got> {
    decode_in(bytes, &[bytes.len().max(1)], MAX_RECORD_HELD_BYTES)
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
        let mut taker = Taker::default();
        taker.feed(&mut decoder, head);
        let n_whole = [19, 35, 56].iter().filter(|end| **end <= cut).count();
        assert_eq!(taker.got, whole[..n_whole], "cut at {cut}");
        taker.feed(&mut decoder, tail);
        assert!(!taker.take(&decoder.poll_end()));
        assert_eq!(taker.got, whole, "cut at {cut}");
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
fn records_that_fill_the_gap_of_missing_bytes_are_found() {
    let long = [b'q'; 49];
    let mut bytes = file(&[&long, b"", b"", b"four"]);
    // As many as the two records behind have: the header of the last stands where the length says.
    bytes.drain(25..25 + 32);
    let got = decode(&bytes);
    assert_eq!(records(&got), [b"".as_slice(), b"", b"four"]);
    assert_eq!(damages(&got), [(0, 33, DamageKind::Data)]);
}

#[test]
fn zeros_at_the_end_are_pending_until_the_end() {
    let mut bytes = file(&[b"one"]);
    bytes.extend_from_slice(&[0; 4096]);
    let mut decoder = Decoder::default();
    let mut taker = Taker::default();
    taker.feed(&mut decoder, &bytes);
    assert_eq!(taker.got.len(), 1);
    assert!(decoder.is_lost());
    assert_eq!(decoder.resume_offset(), 19);
    while taker.take(&decoder.poll_end()) {}
    assert_eq!(damages(&taker.got), [(19, 4096, DamageKind::Length)]);
}

#[test]
fn a_record_beyond_the_cap_comes_in_parts() {
    let long: Vec<u8> = (0..1000_u32).map(|i| (i % 251) as u8).collect();
    let mut bytes = file(&[b"one", &long, b"three"]);
    for sizes in [&[2000][..], &[1], &[7, 100], &[19, 12]] {
        let got = decode_in(&bytes, sizes, 100);
        assert_eq!(records(&got), [b"one".as_slice(), &long, b"three"]);
        assert_eq!(damages(&got), []);
    }
    bytes[500] ^= 1;
    for sizes in [&[2000][..], &[1], &[7, 100], &[19, 12]] {
        let got = decode_in(&bytes, sizes, 100);
        assert_eq!(records(&got), [b"one".as_slice(), b"three"]);
        assert_eq!(damages(&got), [(19, 1016, DamageKind::Data)]);
        let got = decode_in(&bytes[..500], sizes, 100);
        assert_eq!(damages(&got), [(19, 481, DamageKind::Torn)]);
    }
}

#[test]
fn what_a_long_false_length_swallows_is_found() {
    let long = vec![7; 500];
    let mut bytes = file(&[b"one", b"two", &long, b"three"]);
    for length in [200_u64, 520, 543, 560, 1 << 30] {
        bytes[19..27].copy_from_slice(&length.to_le_bytes());
        let crc = crc::masked(&length.to_le_bytes());
        bytes[27..31].copy_from_slice(&crc.to_le_bytes());
        for sizes in [&[2000][..], &[1], &[7, 100], &[19, 12]] {
            let got = decode_in(&bytes, sizes, 100);
            assert_eq!(records(&got), [b"one".as_slice(), &long, b"three"], "length {length}");
            assert_eq!(damages(&got)[0].0, 19, "length {length}");
            assert_eq!(damages(&got)[0].1, 19, "length {length}");
        }
    }
}

#[test]
fn input_that_cannot_be_given_again_goes_on_behind_the_loss() {
    let long = vec![7; 500];
    let mut bytes = file(&[b"one", &long, b"three"]);
    let first = bytes.len();
    bytes[12 + 19] ^= 1;
    // The length claims more than there is, so that the damage is only seen behind `three`.
    let length = 520_u64;
    bytes[19..27].copy_from_slice(&length.to_le_bytes());
    bytes[27..31].copy_from_slice(&crc::masked(&length.to_le_bytes()).to_le_bytes());
    bytes.extend(file(&[b"four", b"five"]));
    let mut decoder = Decoder::with_max_held(0, 100);
    let mut taker = Taker::default();
    let (head, tail) = bytes.split_at(first + 5);
    taker.feed(&mut decoder, head);
    let (more, last) = tail.split_at(tail.len() - 20);
    taker.feed(&mut decoder, more);
    decoder.skip_lost((bytes.len() - 20) as u64);
    taker.feed(&mut decoder, last);
    assert!(!taker.take(&decoder.poll_end()));
    assert_eq!(records(&taker.got), [b"one".as_slice(), b"five"]);
    assert_eq!(damages(&taker.got), [(19, bytes.len() as u64 - 39, DamageKind::Data)]);
}

#[test]
fn a_file_of_false_headers_does_not_cost_the_square_of_its_size() {
    // Lengths of records that are held, that end within the file, and that go beyond its end; with a good
    // record behind each, or only at the end.
    for (length, between) in [(60_000_u64, &b""[..]), (300_000, b""), (1 << 26, b""), (1 << 26, b"good")] {
        let mut unit = length.to_le_bytes().to_vec();
        unit.extend(crc::masked(&length.to_le_bytes()).to_le_bytes());
        if !between.is_empty() {
            encode(between, &mut unit);
        }
        let mut bytes = unit.repeat(40_000);
        bytes.extend(file(&[b"three"]));
        let mut decoder = Decoder::default();
        let (mut n_records, mut last, mut n_fed) = (0, Vec::new(), 0);
        let mut take = |decoded: Decoded<'_>| {
            if let Decoded::Record(record) = decoded {
                (n_records, last) = (n_records + 1, record.data.to_vec());
            }
            decoded != Decoded::NeedMore
        };
        loop {
            let next = usize::try_from(decoder.next_offset()).expect("it fits");
            let mut input = &bytes[next..];
            n_fed += input.len() as u64;
            while take(decoder.poll(&mut input)) {}
            if decoder.next_offset() == bytes.len() as u64 {
                while take(decoder.poll_end()) {}
                if decoder.next_offset() == bytes.len() as u64 {
                    break;
                }
            }
        }
        let n = bytes.len() as u64;
        let most = SEARCH_ALLOWANCE_BYTES + SEARCH_CHECKS_A_BYTE * n + READ_CHUNK_BYTES as u64;
        assert!(decoder.checked_in_vain <= most && n_fed <= most, "{length}: {n_fed} of {most}");
        assert_eq!((n_records, &*last), (if between.is_empty() { 1 } else { 40_001 }, &b"three"[..]));
    }
}

#[test]
fn a_long_record_right_behind_damage_is_found() {
    let long = vec![7; 100 << 20];
    let mut bytes = file(&[b"one", &long]);
    bytes[14] ^= 1;
    let mut decoder = Decoder::default();
    let mut long_records = Vec::new();
    loop {
        let mut input = &bytes[usize::try_from(decoder.next_offset()).expect("it fits")..];
        loop {
            match decoder.poll(&mut input) {
                Decoded::NeedMore => break,
                Decoded::LongRecord { length, .. } => long_records.push(length),
                Decoded::Damage(damage) => assert_eq!((damage.offset, damage.bytes), (0, 19)),
                Decoded::Record(_) | Decoded::Part(_) => {}
            }
        }
        if decoder.next_offset() == bytes.len() as u64 {
            break;
        }
    }
    assert_eq!(long_records, [100 << 20]);
}

#[test]
fn an_intact_record_that_cannot_be_given_again_is_told() {
    let long = vec![7; 500];
    let mut bytes = file(&[b"one", &long, b"three"]);
    bytes[14] ^= 1;
    let mut decoder = Decoder::with_max_held(0, 100);
    let mut taker = Taker::default();
    let (head, tail) = bytes.split_at(bytes.len() - 21);
    taker.feed(&mut decoder, head);
    decoder.skip_lost(head.len() as u64);
    taker.feed(&mut decoder, tail);
    assert_eq!(records(&taker.got), [b"three"]);
    assert_eq!(damages(&taker.got), [(0, 19, DamageKind::Data), (19, 516, DamageKind::TooLong)]);
}

#[test]
fn only_a_record_s_share_is_held() {
    let large = vec![1; MAX_RECORD_HELD_BYTES * 40];
    let bytes = file(&[&large, &large[..MAX_RECORD_HELD_BYTES], b"small"]);
    let mut decoder = Decoder::default();
    let mut taker = Taker::default();
    for chunk in bytes.chunks(1000) {
        taker.feed(&mut decoder, chunk);
        assert!(decoder.carry.capacity() <= 2 * (MAX_RECORD_HELD_BYTES + HEADER_BYTES + FOOTER_BYTES));
    }
    assert_eq!(taker.got.len(), 3);
    assert!(decoder.carry.capacity() <= CARRY_KEPT_BYTES);
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
        sizes in prop::collection::vec(prop_oneof![1usize..40, 40usize..400], 1..8),
    ) {
        let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        let mut bytes = file(&slices);
        for (at, flip) in flips {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
            }
        }
        prop_assert_eq!(decode_in(&bytes, &sizes, 64), decode_in(&bytes, &[1000], 64));
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
