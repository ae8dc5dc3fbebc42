//! What stands in a cache file before the answer: nginx's structure in the byte order of the machine, and the key.

/// The version of nginx's structure.
const VERSION: u64 = 5;

/// The structure's size in bytes.
pub(crate) const SIZE: usize = 336;

/// What stands between the structure and the key.
pub(crate) const KEY: &[u8] = b"\nKEY: ";

/// The longest entity tag that is kept.
pub(crate) const ETAG: usize = 128;

/// The longest `Vary` that is kept.
pub(crate) const VARY: usize = 128;

/// The structure. Times are seconds since 1970, places are counted from the start of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    /// Until when the entry is fresh.
    pub(crate) valid: i64,
    /// For how many seconds beyond that it may be served while it is updated.
    pub(crate) updating: i64,
    /// For how many seconds beyond that it may be served instead of an error.
    pub(crate) error: i64,
    /// `Last-Modified`; -1 for none.
    pub(crate) last_modified: i64,
    /// When it was fetched, or last found to be what it was.
    pub(crate) date: i64,
    /// CRC-32 of the key.
    pub(crate) crc32: u32,
    /// Where the upstream's head begins.
    pub(crate) head_at: u16,
    /// Where the body begins.
    pub(crate) body_at: u16,
    /// `ETag`; empty for none.
    pub(crate) etag: Vec<u8>,
    /// `Vary`; empty for none.
    pub(crate) vary: Vec<u8>,
    /// The digest of the key and of the headers that `vary` names.
    pub(crate) variant: [u8; 16],
}

/// Why a structure says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// There are too few bytes.
    TooShort,
    /// It is of another version.
    Version,
    /// A `Vary` longer than there is room for.
    Vary,
}

impl Header {
    /// Where the head begins behind a key of this length.
    pub(crate) fn head_at(key: usize) -> usize {
        SIZE + KEY.len() + key + 1
    }

    /// The structure's bytes.
    pub(crate) fn encode(&self) -> [u8; SIZE] {
        let mut bytes = [0; SIZE];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, &VERSION.to_ne_bytes());
        put(8, &self.valid.to_ne_bytes());
        put(16, &self.updating.to_ne_bytes());
        put(24, &self.error.to_ne_bytes());
        put(32, &self.last_modified.to_ne_bytes());
        put(40, &self.date.to_ne_bytes());
        put(48, &self.crc32.to_ne_bytes());
        put(54, &self.head_at.to_ne_bytes());
        put(56, &self.body_at.to_ne_bytes());
        if let Some(length) = u8::try_from(self.etag.len()).ok().filter(|length| usize::from(*length) <= ETAG) {
            put(58, &[length]);
            put(59, &self.etag);
        }
        if let Some(length) = u8::try_from(self.vary.len()).ok().filter(|length| (1..=VARY).contains(&(*length).into()))
        {
            put(187, &[length]);
            put(188, &self.vary);
            put(316, &self.variant);
        }
        bytes
    }

    /// Reads the structure at the start of a file.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Unreadable> {
        let bytes: &[u8; SIZE] = bytes.first_chunk().ok_or(Unreadable::TooShort)?;
        let number = |at: usize| i64::from_ne_bytes(*part(bytes, at));
        let short = |at: usize| u16::from_ne_bytes(*part(bytes, at));
        if u64::from_ne_bytes(*part(bytes, 0)) != VERSION {
            return Err(Unreadable::Version);
        }
        let (etag, vary) = (usize::from(bytes[58]), usize::from(bytes[187]));
        if vary > VARY {
            return Err(Unreadable::Vary);
        }
        Ok(Self {
            valid: number(8),
            updating: number(16),
            error: number(24),
            last_modified: number(32),
            date: number(40),
            crc32: u32::from_ne_bytes(*part(bytes, 48)),
            head_at: short(54),
            body_at: short(56),
            etag: bytes[59..59 + etag.min(ETAG)].to_vec(),
            vary: bytes[188..188 + vary].to_vec(),
            variant: *part(bytes, 316),
        })
    }
}

fn part<const LENGTH: usize>(bytes: &[u8; SIZE], at: usize) -> &[u8; LENGTH] {
    bytes[at..].first_chunk().expect("every field lies inside the structure")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            valid: 1_700_000_000,
            updating: 1,
            error: 2,
            last_modified: -1,
            date: 1_699_999_000,
            crc32: 0xdead_beef,
            head_at: 400,
            body_at: 512,
            etag: b"\"abc\"".to_vec(),
            vary: b"Accept-Encoding".to_vec(),
            variant: [7; 16],
        }
    }

    #[test]
    fn comes_back_as_it_was_written() {
        assert_eq!(Header::decode(&header().encode()), Ok(header()));
        let plain = Header { etag: Vec::new(), vary: Vec::new(), variant: [0; 16], ..header() };
        assert_eq!(Header::decode(&plain.encode()), Ok(plain));
    }

    #[test]
    fn leaves_out_what_has_no_room() {
        let long = Header { etag: vec![b'x'; 129], ..header() };
        assert_eq!(Header::decode(&long.encode()).unwrap().etag, b"");
    }

    #[test]
    fn refuses_what_it_cannot_read() {
        let mut bytes = header().encode();
        assert_eq!(Header::decode(&bytes[..100]), Err(Unreadable::TooShort));
        bytes[187] = 200;
        assert_eq!(Header::decode(&bytes), Err(Unreadable::Vary));
        bytes[0] = 4;
        assert_eq!(Header::decode(&bytes), Err(Unreadable::Version));
    }
}
