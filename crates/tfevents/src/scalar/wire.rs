//! The wire format, field by field (Protocol Buffers, "Encoding").

/// The fields of a message whose numbers are below 16, in the order in which they stand.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

/// A field with its number and its value.
pub(super) enum Field<'a> {
    Varint(u8, u64),
    Fixed64(u8, u64),
    Bytes(u8, &'a [u8]),
    Fixed32(u8, u32),
}

impl<'a> Fields<'a> {
    /// The next field; `None` where something is out of the ordinary, `Some(None)` at the end.
    #[inline]
    pub(super) fn next(&mut self) -> Option<Option<Field<'a>>> {
        let Some((key, rest)) = self.0.split_first() else { return Some(None) };
        self.0 = rest;
        let number = key >> 3;
        if number == 0 || *key >= 0x80 {
            return None;
        }
        Some(Some(match key & 7 {
            0 => Field::Varint(number, self.varint()?),
            1 => Field::Fixed64(number, u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                let (bytes, rest) = self.0.split_at_checked(length)?;
                self.0 = rest;
                Field::Bytes(number, bytes)
            }
            5 => Field::Fixed32(number, u32::from_le_bytes(self.array()?)),
            _ => return None,
        }))
    }

    #[inline]
    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Option<u64> {
        // Keys aside, most numbers take one byte.
        match self.0 {
            [byte, rest @ ..] if *byte < 0x80 => {
                self.0 = rest;
                Some(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..63).step_by(7) {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if *byte < 0x80 {
                return Some(value);
            }
        }
        // The tenth byte holds the last bit.
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        (*byte <= 1).then(|| value | u64::from(*byte) << 63)
    }
}
