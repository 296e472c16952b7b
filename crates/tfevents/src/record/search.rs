//! Where in some bytes a record may start.
//!
//! A header is recognised by its checksum. Most places need no checksum: the upper half of a real length is zero.

use super::{HEADER_BYTES, crc};
use crate::limits::MAX_RECORD_BYTES;

/// How many places are ruled out at once.
const BLOCK_BYTES: usize = 64;

pub(super) enum Header {
    Length(u64),
    Wrong,
}

/// Reads the header at the start of `window`; `None` where it is not whole.
pub(super) fn read_header(window: &[u8]) -> Option<Header> {
    let (length, rest) = window.split_first_chunk::<8>()?;
    let expected = u32::from_le_bytes(*rest.first_chunk::<4>()?);
    let value = u64::from_le_bytes(*length);
    let valid = value <= MAX_RECORD_BYTES && crc::masked(length) == expected;
    Some(if valid { Header::Length(value) } else { Header::Wrong })
}

/// The first place in `window` where a length and its checksum agree, both whole.
///
/// What is all zero, as the unwritten part of a file that was made long beforehand, and what has few zeros, as an image,
/// is passed over by the block.
pub(super) fn find_header(window: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let rest = window.get(at..)?;
        let Some(block) = rest.first_chunk::<{ BLOCK_BYTES + 4 }>() else {
            return rest.windows(HEADER_BYTES).position(is_header).map(|found| at + found);
        };
        let [_, _, _, _, upper_halves @ ..] = block;
        if is_zero(block) {
            // The checksum of a length of 0 is not 0: a header that starts here reaches beyond the block.
            at += block.len() + 1 - HEADER_BYTES;
        } else if !has_zero_pair(upper_halves) {
            // Of the four zeros of an upper half, two lie in one pair: those that start in the block but for its last byte.
            at += BLOCK_BYTES - 1;
        } else {
            let places = rest.get(..BLOCK_BYTES + HEADER_BYTES - 1).unwrap_or(rest);
            if let Some(found) = places.windows(HEADER_BYTES).position(is_header) {
                return Some(at + found);
            }
            at += BLOCK_BYTES;
        }
    }
}

/// The first place in `window` where a whole record lies whose two checksums agree. `None` also if the first header that
/// agrees belongs to a record that ends beyond `window`, and if false headers make the search too expensive.
///
/// In bytes from the middle of a file this is nearly always a record of the file. It need not be: a record may contain
/// others.
#[must_use]
pub fn find_record(window: &[u8]) -> Option<usize> {
    let mut at = find_header(window)?;
    let mut n_checked = 0;
    loop {
        let rest = window.get(at..)?;
        if crc::count_intact(rest, rest.len(), &mut [0]) == 1 {
            return Some(at);
        }
        let Some(Header::Length(length)) = read_header(rest) else { return None };
        n_checked += length;
        if length > rest.len() as u64 || n_checked > window.len() as u64 {
            return None;
        }
        at += 1 + find_header(rest.get(1..)?)?;
    }
}

fn is_header(bytes: &[u8]) -> bool {
    matches!(bytes, [_, _, _, _, 0, 0, 0, 0, ..]) && matches!(read_header(bytes), Some(Header::Length(_)))
}

fn is_zero(block: &[u8; BLOCK_BYTES + 4]) -> bool {
    // Without an early end: so the compiler takes many bytes at once.
    block.iter().fold(0, |all, byte| all | byte) == 0
}

fn has_zero_pair(block: &[u8; BLOCK_BYTES]) -> bool {
    let pairs = block.as_chunks::<2>().0.iter().map(|pair| u16::from_ne_bytes(*pair));
    pairs.fold(0, |n, pair| n + u8::from(pair == 0)) > 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Each place, one after the other.
    fn plain(window: &[u8]) -> Option<usize> {
        window.windows(HEADER_BYTES).position(|bytes| matches!(read_header(bytes), Some(Header::Length(_))))
    }

    fn header(length: u64) -> Vec<u8> {
        let length = length.to_le_bytes();
        [&length[..], &crc::masked(&length).to_le_bytes()].concat()
    }

    #[test]
    fn a_header_is_found_wherever_it_lies() {
        for filler in [0u8, 1] {
            for before in 0..300 {
                for length in [0, 5, MAX_RECORD_BYTES] {
                    let bytes =
                        [&vec![filler; before][..], &header(length), &vec![filler; before % 90]].concat();
                    assert_eq!(find_header(&bytes), plain(&bytes), "{before} of {filler}");
                    assert!(find_header(&bytes).is_some_and(|at| at <= before));
                }
            }
        }
        assert_eq!(find_header(&[0; 1000]), None);
        assert_eq!(find_header(&header(MAX_RECORD_BYTES + 1)), None);
    }

    proptest! {
        #[test]
        fn blocks_hide_no_header(
            stretches in prop::collection::vec(
                prop_oneof![
                    (1usize..200).prop_map(|n| vec![0; n]),
                    prop::collection::vec(any::<u8>(), 1..200),
                    prop::collection::vec(0u8..2, 1..100),
                    (0u64..1 << 33).prop_map(header),
                    (0u64..1 << 33).prop_map(|length| header(length)[..11].to_vec()),
                ],
                0..8,
            ),
        ) {
            let bytes = stretches.concat();
            prop_assert_eq!(find_header(&bytes), plain(&bytes));
        }
    }
}
