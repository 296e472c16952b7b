//! The masked CRC32C that TFRecord files carry.
//!
//! The mask keeps a checksum of bytes that themselves hold checksums from degenerating. Source:
//! TensorFlow, `core/lib/hash/crc32c.h`.

use super::{FOOTER_BYTES, HEADER_BYTES};

const MASK_DELTA: u32 = 0xa282_ead8;

/// The masked CRC32C of `bytes`, as it stands in a file.
#[must_use]
pub fn masked(bytes: &[u8]) -> u32 {
    mask(crc32c::crc32c(bytes))
}

/// Masks a plain CRC32C.
#[must_use]
pub fn mask(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(MASK_DELTA)
}

/// How many records that `window` begins with are whole, with both checksums right and data no longer than
/// `max_bytes`, and how long their data is: no more than there are `lengths`.
#[inline]
pub(super) fn count_intact(window: &[u8], max_bytes: usize, lengths: &mut [u32]) -> usize {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("sse4.2") {
        #[expect(
            unsafe_code,
            reason = "a checksum instruction: a third less time for small records, see benches"
        )]
        // SAFETY: the processor has SSE 4.2, which is all that the function asks for.
        return unsafe { words::count_intact(window, max_bytes, lengths) };
    }
    count_with(window, max_bytes, lengths, crc32c::crc32c)
}

#[inline(always)]
fn count_with(mut window: &[u8], max_bytes: usize, lengths: &mut [u32], crc: impl Fn(&[u8]) -> u32) -> usize {
    let mut n = 0;
    for length in lengths {
        let Some((data, rest)) = split_intact(window, max_bytes, &crc) else { break };
        *length = data.len() as u32;
        window = rest;
        n += 1;
    }
    n
}

/// The data of the record that `window` begins with, and what follows the record; `None` unless it is
/// whole, both its checksums agree, and its data is no longer than `max_bytes`.
#[inline(always)]
fn split_intact(window: &[u8], max_bytes: usize, crc: impl Fn(&[u8]) -> u32) -> Option<(&[u8], &[u8])> {
    let (header, body) = window.split_first_chunk::<HEADER_BYTES>()?;
    let (length, header_crc) = header.split_first_chunk::<8>()?;
    let n = usize::try_from(u64::from_le_bytes(*length)).ok().filter(|n| *n <= max_bytes)?;
    let (data, rest) = body.split_at_checked(n)?;
    let (data_crc, rest) = rest.split_first_chunk::<FOOTER_BYTES>()?;
    let agrees = |bytes: &[u8], masked: &[u8]| mask(crc(bytes)).to_le_bytes() == masked;
    (agrees(length, header_crc) && agrees(data, data_crc)).then_some((data, rest))
}

/// CRC32C by the instruction that x86-64 has for it (Intel SDM, `CRC32`), for data so short that a
/// call to the library costs more than the checksum.
#[cfg(target_arch = "x86_64")]
mod words {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u16, _mm_crc32_u32, _mm_crc32_u64};

    /// Data of up to so many bytes is checksummed word by word; beyond it, the library's three
    /// interleaved streams are faster.
    const SHORT_BYTES: usize = 256;

    #[target_feature(enable = "sse4.2")]
    pub(super) fn count_intact(window: &[u8], max_bytes: usize, lengths: &mut [u32]) -> usize {
        super::count_with(window, max_bytes, lengths, |bytes| {
            if bytes.len() <= SHORT_BYTES { crc(bytes) } else { crc32c::crc32c(bytes) }
        })
    }

    #[inline]
    #[target_feature(enable = "sse4.2")]
    pub(super) fn crc(bytes: &[u8]) -> u32 {
        let (words, mut rest) = bytes.as_chunks::<8>();
        let long =
            words.iter().fold(u64::from(u32::MAX), |crc, w| _mm_crc32_u64(crc, u64::from_le_bytes(*w)));
        // The upper half of what the instruction gives is zero.
        let mut crc = long as u32;
        if let Some((four, more)) = rest.split_first_chunk() {
            (crc, rest) = (_mm_crc32_u32(crc, u32::from_le_bytes(*four)), more);
        }
        if let Some((two, more)) = rest.split_first_chunk() {
            (crc, rest) = (_mm_crc32_u16(crc, u16::from_le_bytes(*two)), more);
        }
        if let Some(one) = rest.first() {
            crc = _mm_crc32_u8(crc, *one);
        }
        !crc
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4, gives 0x8a9136aa as the CRC32C of 32 zero bytes.
    #[test]
    fn the_checksum_is_castagnoli_rotated_and_shifted() {
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked(&[0; 32]), 0x8a91_36aa_u32.rotate_right(15).wrapping_add(MASK_DELTA));
    }

    #[test]
    fn a_record_of_any_length_is_recognised_and_any_flipped_bit_is_not() {
        #[track_caller]
        fn check(bytes: &[u8], max_bytes: usize, expected: &[u32]) {
            let mut lengths = [0; 2];
            let n = count_intact(bytes, max_bytes, &mut lengths);
            assert_eq!(&lengths[..n], expected);
        }
        for n in 0..300 {
            let data: Vec<u8> = (0..n).map(|i| (i * 7 + n) as u8).collect();
            let mut bytes = Vec::new();
            crate::record::encode(&data, &mut bytes);
            let length = bytes.len();
            for data in [&[1; 301][..], &[]] {
                crate::record::encode(data, &mut bytes);
            }
            check(&bytes, 300, &[n]);
            check(&bytes, 301, &[n, 301]);
            check(&bytes[..length - 1], 300, &[]);
            for bit in 0..8 * length {
                bytes[bit / 8] ^= 1 << (bit % 8);
                check(&bytes, 300, &[]);
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        check(&[0; 11], 300, &[]);
    }
}
