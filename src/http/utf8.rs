//! UTF-8 as nginx reads it: more forgiving than the standard, and the same to the byte.

/// Why no character was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoCharacter {
    /// The bytes are none.
    Invalid,
    /// More bytes are needed.
    Incomplete,
}

/// Reads the character at the start, which must be a byte above 0x7f, and leaves the rest. What is
/// incomplete is left where it is.
pub(crate) fn decode(bytes: &mut &[u8]) -> Result<u32, NoCharacter> {
    let Some((&first, rest)) = bytes.split_first() else { return Err(NoCharacter::Incomplete) };
    let (mut character, least, length) = match first {
        0xc2..=0xdf => (u32::from(first & 0x1f), 0x80, 1),
        0xe0..=0xef => (u32::from(first & 0x0f), 0x800, 2),
        0xf0..=0xf7 => (u32::from(first & 0x07), 0x1_0000, 3),
        _ => {
            *bytes = rest;
            return Err(NoCharacter::Invalid);
        }
    };
    if rest.len() < length {
        return Err(NoCharacter::Incomplete);
    }
    *bytes = rest;
    for _ in 0..length {
        let (next, rest) = (bytes[0], &bytes[1..]);
        *bytes = rest;
        if next < 0x80 {
            return Err(NoCharacter::Invalid);
        }
        character = character << 6 | u32::from(next & 0x3f);
    }
    if character < least || character > 0x10_ffff { Err(NoCharacter::Invalid) } else { Ok(character) }
}

/// How many characters the text has; `None` where it is not UTF-8.
pub(crate) fn length(mut text: &[u8]) -> Option<usize> {
    let mut length = 0;
    while let Some((first, rest)) = text.split_first() {
        if *first < 0x80 {
            text = rest;
        } else {
            decode(&mut text).ok()?;
        }
        length += 1;
    }
    Some(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(mut text: &[u8]) -> (Result<u32, NoCharacter>, usize) {
        let length = text.len();
        let character = decode(&mut text);
        (character, length - text.len())
    }

    #[test]
    fn decodes() {
        assert_eq!(one("é!".as_bytes()), (Ok(0xe9), 2));
        assert_eq!(one("€".as_bytes()), (Ok(0x20ac), 3));
        assert_eq!(one("😀".as_bytes()), (Ok(0x1f600), 4));
        assert_eq!(one(b"\xed\xa0\x80"), (Ok(0xd800), 3));
    }

    #[test]
    fn refuses() {
        assert_eq!(one(b"\x80a"), (Err(NoCharacter::Invalid), 1));
        assert_eq!(one(b"\xc1\x80"), (Err(NoCharacter::Invalid), 1));
        assert_eq!(one(b"\xe2a\x80"), (Err(NoCharacter::Invalid), 2));
        assert_eq!(one(b"\xe0\x80\x80"), (Err(NoCharacter::Invalid), 3));
        assert_eq!(one(b"\xf4\xb0\x80\x80"), (Err(NoCharacter::Invalid), 4));
        assert_eq!(one(b"\xe2\x82"), (Err(NoCharacter::Incomplete), 0));
        assert_eq!(one(b"\xff"), (Err(NoCharacter::Invalid), 1));
    }

    #[test]
    fn counts() {
        assert_eq!(length("aé€😀".as_bytes()), Some(4));
        assert_eq!(length(b"a\xff"), None);
        assert_eq!(length(b"a\xe2\x82"), None);
    }
}
