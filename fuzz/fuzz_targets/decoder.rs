//! Any chunking gives the same, and every byte is accounted for.
#![no_main]

use tfevents::record::{Decoded, Decoder, FOOTER_BYTES, HEADER_BYTES};
use libfuzzer_sys::fuzz_target;

/// Where a record or a damage lies: its offset, its length, and the data of a record.
type Item = (u64, u64, Option<Vec<u8>>);

fn decode(bytes: &[u8], sizes: &[u8], max_held: usize) -> Vec<Item> {
    let mut decoder = Decoder::with_max_held(0, max_held);
    let (mut items, mut parts) = (Vec::new(), Vec::new());
    let mut take = |decoded: Decoded<'_>| {
        let framing = (HEADER_BYTES + FOOTER_BYTES) as u64;
        match decoded {
            Decoded::NeedMore => return false,
            Decoded::Record(r) => items.push((r.offset, r.data.len() as u64 + framing, Some(r.data.to_vec()))),
            Decoded::Damage(d) => items.push((d.offset, d.bytes, None)),
            Decoded::Part(part) => {
                if part.at == 0 {
                    parts.clear();
                }
                assert_eq!(part.at, parts.len() as u64);
                parts.extend_from_slice(part.data);
            }
            Decoded::LongRecord { offset, length } => {
                assert_eq!(length, parts.len() as u64);
                items.push((offset, length + framing, Some(std::mem::take(&mut parts))));
            }
        }
        true
    };
    for size in sizes.iter().cycle() {
        let next = usize::try_from(decoder.next_offset()).expect("it fits");
        if next < bytes.len() {
            let mut input = &bytes[next..bytes.len().min(next + 1 + usize::from(*size))];
            loop {
                if size.is_multiple_of(2) {
                    decoder.take_intact(&mut input).for_each(|record| {
                        take(Decoded::Record(record));
                    });
                }
                if !take(decoder.poll(&mut input)) {
                    break;
                }
            }
            assert!(input.is_empty());
            continue;
        }
        while take(decoder.poll_end()) {}
        if decoder.next_offset() == bytes.len() as u64 {
            break;
        }
    }
    items
}

fuzz_target!(|data: &[u8]| {
    let [max_held, a, b, c, bytes @ ..] = data else { return };
    let max_held = usize::from(*max_held);
    // Checksums that agree are never guessed: bytes that say so are given some.
    let mut bytes = bytes.to_vec();
    common::mend(&mut bytes);
    let items = decode(&bytes, &[*a, *b, *c], max_held);
    assert_eq!(items, decode(&bytes, &[255], max_held));
    let end = items.iter().fold(0, |end, (offset, length, _)| {
        assert_eq!(*offset, end);
        end + length
    });
    assert_eq!(end, bytes.len() as u64);
});

#[path = "../common.rs"]
mod common;
