//! Every record that damage does not touch is found.
#![no_main]

use tfevents::record::{self as tfrecord, Decoded, Decoder, FOOTER_BYTES, HEADER_BYTES};
use libfuzzer_sys::fuzz_target;

/// Changes one place of a file: bytes overwritten, put in, or taken out.
#[derive(Clone, Copy)]
enum Change {
    Set,
    Insert,
    Remove,
}

fuzz_target!(|data: &[u8]| {
    let [n, kind, at_low, at_high, with, rest @ ..] = data else { return };
    // Records of up to 63 bytes, as long as there are bytes for them.
    let mut records = Vec::new();
    let mut rest = rest;
    while let [length, more @ ..] = rest {
        let length = usize::from(*length % 64).min(more.len());
        let (record, more) = more.split_at(length);
        records.push(record.to_vec());
        rest = more;
    }
    let mut bytes = Vec::new();
    let mut places = Vec::new();
    for record in &records {
        let start = bytes.len();
        tfrecord::encode(record, &mut bytes);
        places.push(start..bytes.len());
    }
    if bytes.is_empty() {
        return;
    }
    let at = usize::from(u16::from_le_bytes([*at_low, *at_high])) % bytes.len();
    let n = 1 + usize::from(*n % 40);
    let change = [Change::Set, Change::Insert, Change::Remove][usize::from(*kind) % 3];
    let end = bytes.len().min(at + n);
    let before = bytes.clone();
    match change {
        Change::Set => bytes[at..end].fill(*with),
        Change::Insert => drop(bytes.splice(at..at, vec![*with; n])),
        Change::Remove => drop(bytes.drain(at..end)),
    }
    let touched = |place: &std::ops::Range<usize>| match change {
        Change::Set => (at..end).any(|i| place.contains(&i) && before[i] != *with),
        Change::Insert => place.start < at && at < place.end,
        Change::Remove => place.start < end && at < place.end,
    };
    // Where an untouched record lies now.
    let moved = |place: &std::ops::Range<usize>| match change {
        Change::Insert if place.start >= at => place.start + n,
        Change::Remove if place.start >= end => place.start - (end - at),
        Change::Set | Change::Insert | Change::Remove => place.start,
    };
    let untouched = records.iter().zip(&places).filter(|(_, place)| !touched(place));

    let mut decoder = Decoder::with_max_held(0, usize::from(*with));
    let (mut found, mut parts) = (Vec::new(), Vec::new());
    let mut n_bytes = 0;
    let mut take = |decoded: Decoded<'_>| {
        match decoded {
            Decoded::NeedMore => return false,
            Decoded::Record(r) => found.push((r.offset as usize, r.data.to_vec())),
            Decoded::Damage(d) => n_bytes += d.bytes,
            Decoded::Part(part) => {
                if part.at == 0 {
                    parts.clear();
                }
                parts.extend_from_slice(part.data);
            }
            Decoded::LongRecord { offset, .. } => found.push((offset as usize, std::mem::take(&mut parts))),
        }
        true
    };
    loop {
        let mut input = &bytes[usize::try_from(decoder.next_offset()).expect("it fits")..];
        while take(decoder.poll(&mut input)) {}
        if decoder.next_offset() == bytes.len() as u64 {
            while take(decoder.poll_end()) {}
            if decoder.next_offset() == bytes.len() as u64 {
                break;
            }
        }
    }
    // Data may be such that what is left behind the damage reads as an intact record, too, and reaches into
    // the next: nobody can tell them apart.
    for (record, place) in untouched {
        let (start, n_bytes) = (moved(place), place.len());
        let is_there = found.iter().any(|(offset, data)| {
            let found_end = offset + HEADER_BYTES + data.len() + FOOTER_BYTES;
            let is_other = *offset != start && *offset < start + n_bytes && start < found_end;
            is_other || (*offset == start && data == record)
        });
        assert!(is_there, "lost {record:?} at {start}");
    }
    let framed: u64 =
        found.iter().map(|(_, record)| (HEADER_BYTES + record.len() + FOOTER_BYTES) as u64).sum();
    assert_eq!(framed + n_bytes, bytes.len() as u64);
});
