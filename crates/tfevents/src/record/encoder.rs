//! Records to bytes.

use super::crc;

/// Appends `data` to `out` as one framed record.
pub fn encode(data: &[u8], out: &mut Vec<u8>) {
    let length = (data.len() as u64).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&crc::masked(&length).to_le_bytes());
    out.extend_from_slice(data);
    out.extend_from_slice(&crc::masked(data).to_le_bytes());
}
