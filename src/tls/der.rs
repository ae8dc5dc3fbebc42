//! A reader of DER, as far as keys and certificates need one. X.690.

/// Tags.
pub const INTEGER: u8 = 0x02;
/// `TRUE` or not.
pub const BOOLEAN: u8 = 0x01;
/// Bits.
pub const BIT_STRING: u8 = 0x03;
/// Bytes.
pub const OCTET_STRING: u8 = 0x04;
/// What something is, by number.
pub const OID: u8 = 0x06;
/// Several things in a row.
pub const SEQUENCE: u8 = 0x30;

/// What is left to read.
#[derive(Clone, Copy, Debug)]
pub struct Der<'a>(pub &'a [u8]);

impl<'a> Der<'a> {
    /// The next value with its tag; `None` at the end, or where it is damaged.
    pub fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag, length, rest @ ..] = self.0 else { return None };
        let (length, rest) = match *length {
            short @ 0..0x80 => (usize::from(short), rest),
            long => {
                let count = usize::from(long & 0x7f);
                let (bytes, rest) = rest.split_at_checked(count)?;
                if !(1..=4).contains(&count) {
                    return None;
                }
                (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
            }
        };
        let (value, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, value))
    }

    /// The next value, which must have this tag.
    pub fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, value)| value)
    }

    /// The next value with its tag and length, as it stands.
    pub fn raw(&mut self) -> Option<&'a [u8]> {
        let before = self.0;
        self.next()?;
        Some(&before[..before.len() - self.0.len()])
    }

    /// The inside of the next value, which must be a sequence.
    pub fn sequence(&mut self) -> Option<Der<'a>> {
        self.expect(SEQUENCE).map(Der)
    }

    /// Takes the next value where it has this tag.
    pub fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.0.first() == Some(&tag) { self.next().map(|(_, value)| value) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_short_and_long_lengths() {
        let long = [&[0x30, 0x81, 0x80][..], &[1; 128]].concat();
        assert_eq!(Der(&long).next(), Some((0x30, &[1; 128][..])));
        let mut der = Der(&[2, 1, 5, 4, 0]);
        assert_eq!((der.expect(INTEGER), der.optional(INTEGER), der.raw()), (Some(&[5][..]), None, Some(&[4, 0][..])));
        for damaged in [&[0x30][..], &[0x30, 2, 1], &[0x30, 0x80], &[0x30, 0x85, 0, 0, 0, 0, 1]] {
            assert_eq!(Der(damaged).next(), None, "{damaged:?}");
        }
    }
}
