//! What an entry is known by: the MD5 of the key that the configuration makes of a request.

use std::fmt;

use crate::http::md5::md5;

/// The digest of a key, or of a variant of what stands under it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Key(pub(crate) [u8; 16]);

impl Key {
    /// The digest of a key.
    pub(crate) fn of(key: &[u8]) -> Self {
        Self(md5(&[key]))
    }

    /// Reads the name of a file: 32 hexadecimal digits at its end, as nginx takes them.
    pub(super) fn from_name(name: &[u8]) -> Option<Self> {
        let digits = name.get(name.len().checked_sub(32)?..)?;
        let mut key = [0; 16];
        for (byte, pair) in key.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(key))
    }
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_read_from_its_own_name() {
        let key = Key::of(b"http://127.0.0.1/");
        assert_eq!(Key::from_name(key.to_string().as_bytes()), Some(key));
        assert_eq!(Key::from_name(format!("x{key}").as_bytes()), Some(key));
        assert_eq!(Key::from_name(b"0123"), None);
        assert_eq!(Key::from_name(b"zz23456789abcdef0123456789abcdef"), None);
    }
}
