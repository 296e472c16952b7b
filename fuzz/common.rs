//! What the targets share.

use tfevents::record::crc;

/// Where the bytes `R` and a length of one byte stand, makes a header of them whose checksum agrees, and,
/// after `R` in upper case only, gives the data behind it the right checksum too.
pub fn mend(bytes: &mut [u8]) {
    let mut at = 0;
    while at + 12 <= bytes.len() {
        if !bytes[at].eq_ignore_ascii_case(&b'R') {
            at += 1;
            continue;
        }
        let is_whole = bytes[at] == b'R';
        let length = u64::from(bytes[at + 1]);
        bytes[at..at + 8].copy_from_slice(&length.to_le_bytes());
        let header_crc = crc::masked(&length.to_le_bytes());
        bytes[at + 8..at + 12].copy_from_slice(&header_crc.to_le_bytes());
        let end = at + 12 + length as usize;
        if is_whole && end + 4 <= bytes.len() {
            let data_crc = crc::masked(&bytes[at + 12..end]);
            bytes[end..end + 4].copy_from_slice(&data_crc.to_le_bytes());
            at = end + 4;
        } else {
            at += 12;
        }
    }
}
