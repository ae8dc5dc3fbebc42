//! CRC-32 as zlib and nginx compute it (polynomial 0xedb88320).

/// The remainders of all bytes.
const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut value = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 { value >> 1 ^ 0xedb8_8320 } else { value >> 1 };
            bit += 1;
        }
        table[byte] = value;
        byte += 1;
    }
    table
}

/// A checksum under way.
#[derive(Clone, Debug)]
pub(crate) struct Crc32(u32);

impl Crc32 {
    /// Nothing seen yet.
    pub(crate) fn new() -> Self {
        Self(u32::MAX)
    }

    /// Takes bytes in.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0 = bytes.iter().fold(self.0, |crc, byte| TABLE[usize::from(crc as u8 ^ byte)] ^ crc >> 8);
    }

    /// The checksum of all that was taken in.
    pub(crate) fn finish(&self) -> u32 {
        !self.0
    }

    /// The checksum of some bytes.
    pub(crate) fn of(bytes: &[u8]) -> u32 {
        let mut crc = Self::new();
        crc.update(bytes);
        crc.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_zlib() {
        assert_eq!(Crc32::of(b"123456789"), 0xcbf4_3926);
        assert_eq!(Crc32::of(b""), 0);
    }
}
