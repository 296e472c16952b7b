//! The masked CRC32C that TFRecord files carry.
//!
//! The mask keeps a checksum of bytes that themselves hold checksums from degenerating. Source:
//! TensorFlow, `core/lib/hash/crc32c.h`.

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

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3720, appendix B.4, gives 0x8a9136aa as the CRC32C of 32 zero bytes.
    #[test]
    fn the_checksum_is_castagnoli_rotated_and_shifted() {
        assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(masked(&[0; 32]), 0x8a91_36aa_u32.rotate_right(15).wrapping_add(MASK_DELTA));
    }
}
