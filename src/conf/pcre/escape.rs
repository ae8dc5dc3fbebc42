//! What stands behind `\`.

use super::{Fault, Reader, Repeat, put_hex};
use crate::http::escape::hex_value;

/// What an escape stands for, inside a class and outside.
pub(super) enum Escaped {
    /// One byte.
    Byte(u8),
    /// Members of a class, as our engine writes them inside one.
    Set(&'static str),
    /// All but these.
    Not(&'static str),
    /// Bytes up to `\E` (or the end) that stand for themselves.
    Quoted(usize),
    /// `\E` that ends nothing.
    Nothing,
    /// Something of PCRE's that our engine writes the same way.
    Same,
}

const HORIZONTAL: &str = "\\t\\x20\\xA0";
const VERTICAL: &str = "\\n\\x0B\\f\\r\\x85";
const UNKNOWN: &str = "unrecognized character follows \\";
const UNSUPPORTED: &str = "PCRE2 does not support \\F, \\L, \\l, \\N{name}, \\U, or \\u";

impl Reader<'_> {
    pub(super) fn escape(&mut self) -> Result<(), Fault> {
        if let Some((number, digits)) = self.reference() {
            self.references.push((number, self.at + digits));
            self.copy(1 + digits);
            self.repeat = Repeat::Yes;
            return Ok(());
        }
        match self.rest().get(1) {
            Some(b'R') => {
                self.at += 2;
                self.out.push_str("(?:\\r\\n|[\\n\\x0B\\f\\r\\x85])");
                self.repeat = Repeat::Yes;
                return Ok(());
            }
            Some(b'b' | b'B' | b'A' | b'z' | b'Z' | b'G' | b'K') => {
                self.copy(2);
                self.repeat = Repeat::No;
                return Ok(());
            }
            _ => {}
        }
        match self.escaped()? {
            Escaped::Byte(byte) => self.literal(byte),
            Escaped::Set(set) => self.set("[", set),
            Escaped::Not(set) => self.set("[^", set),
            Escaped::Quoted(length) => {
                let quoted = self.at..self.at + length;
                self.text[quoted].iter().for_each(|byte| self.literal(*byte));
                self.at += length;
                if self.rest().starts_with(b"\\E") {
                    self.at += 2;
                }
            }
            Escaped::Nothing => {}
            Escaped::Same => self.repeat = Repeat::Yes,
        }
        Ok(())
    }

    fn set(&mut self, open: &str, members: &str) {
        self.out.push_str(open);
        self.out.push_str(members);
        self.out.push(']');
        self.repeat = Repeat::Yes;
    }

    /// `\1`: the number, and how many digits it has. Two digits are an octal number where there are not so many
    /// groups.
    fn reference(&self) -> Option<(u64, usize)> {
        let digits = self.rest()[1..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let text = std::str::from_utf8(self.rest().get(1..1 + digits)?).ok()?;
        let number: u64 = text.parse().ok()?;
        let octal = number >= 10 && number > self.groups && !text.starts_with(['8', '9']);
        (number > 0 && !text.starts_with('0') && !octal).then_some((number, digits))
    }

    /// Reads an escape that means the same inside and outside of a class, with its backslash.
    pub(super) fn escaped(&mut self) -> Result<Escaped, Fault> {
        let Some(&byte) = self.rest().get(1) else {
            self.at = self.text.len();
            return self.fault("\\ at end of pattern");
        };
        self.at += 1;
        if let b'0'..=b'7' = byte {
            return Ok(Escaped::Byte(self.octal()));
        }
        if let b'd' | b'D' | b's' | b'S' | b'w' | b'W' = byte {
            self.out.push('\\');
            self.copy(1);
            return Ok(Escaped::Same);
        }
        if let b'p' | b'P' = byte
            && let Some(property) = self.property(byte == b'P')
        {
            return Ok(property);
        }
        if let b'p' | b'P' | b'k' | b'g' | b'X' | b'o' = byte {
            // Properties, named references and the like: what our engine knows of them, it writes the same way.
            self.out.push('\\');
            self.copy(1);
            return Ok(Escaped::Same);
        }
        if byte.is_ascii_alphanumeric() && !b"abcefhnrtvxEHNQV".contains(&byte) {
            if !b"FLlUu".contains(&byte) {
                return self.fault(UNKNOWN);
            }
            self.at += 1;
            return self.fault(UNSUPPORTED);
        }
        self.at += 1;
        Ok(match byte {
            b'a' => Escaped::Byte(7),
            b'b' => Escaped::Byte(8),
            b'e' => Escaped::Byte(0x1b),
            b'f' => Escaped::Byte(0x0c),
            b'n' => Escaped::Byte(b'\n'),
            b'r' => Escaped::Byte(b'\r'),
            b't' => Escaped::Byte(b'\t'),
            b'c' => Escaped::Byte(self.control()?),
            b'x' => Escaped::Byte(self.hexadecimal()?),
            b'h' => Escaped::Set(HORIZONTAL),
            b'H' => Escaped::Not(HORIZONTAL),
            b'v' => Escaped::Set(VERTICAL),
            b'V' => Escaped::Not(VERTICAL),
            b'N' => Escaped::Not("\\n"),
            b'Q' => {
                let rest = self.rest();
                Escaped::Quoted(memchr::memmem::find(rest, b"\\E").unwrap_or(rest.len()))
            }
            b'E' => Escaped::Nothing,
            _ => Escaped::Byte(byte),
        })
    }

    /// `\p{N}`, `\pN`, `\p{^N}`: to PCRE a byte is the character of its number, so a property is a set of bytes. `None`
    /// for properties that no server name was seen to ask for.
    fn property(&mut self, negated: bool) -> Option<Escaped> {
        let text = self.rest().get(1..)?;
        let (name, length) = match text {
            [b'{', inner @ ..] => {
                let end = memchr::memchr(b'}', inner)?;
                (&inner[..end], end + 2)
            }
            _ => (text.get(..1)?, 1),
        };
        let (name, inverted) = name.strip_prefix(b"^").map_or((name, false), |name| (name, true));
        let set = match name {
            b"N" => "0-9\\xB2\\xB3\\xB9\\xBC-\\xBE",
            b"Nd" => "0-9",
            b"L" => "A-Za-z\\xAA\\xB5\\xBA\\xC0-\\xD6\\xD8-\\xF6\\xF8-\\xFF",
            b"Lu" => "A-Z\\xC0-\\xD6\\xD8-\\xDE",
            b"Ll" => "a-z\\xB5\\xDF-\\xF6\\xF8-\\xFF",
            b"Z" | b"Zs" => "\\x20\\xA0",
            _ => return None,
        };
        self.at += 1 + length;
        Some(if negated != inverted { Escaped::Not(set) } else { Escaped::Set(set) })
    }

    /// Up to three octal digits.
    fn octal(&mut self) -> u8 {
        let rest = self.rest();
        let count = rest.iter().take(3).take_while(|byte| matches!(byte, b'0'..=b'7')).count();
        let value = rest[..count].iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0'));
        self.at += count;
        (value & 0xff) as u8
    }

    /// `\cA`
    fn control(&mut self) -> Result<u8, Fault> {
        match self.peek() {
            Some(byte @ b' '..=b'~') => {
                self.at += 1;
                Ok(byte.to_ascii_uppercase() ^ 0x40)
            }
            Some(_) => self.fault("\\c must be followed by a printable ASCII character"),
            None => self.fault("\\c at end of pattern"),
        }
    }

    /// `\x41` or `\x{41}`; digits may be missing.
    fn hexadecimal(&mut self) -> Result<u8, Fault> {
        let braced = self.peek() == Some(b'{');
        if braced {
            self.at += 1;
        }
        let most = if braced { usize::MAX } else { 2 };
        let mut value = 0_u32;
        let mut count = 0;
        while let Some(digit) = self.peek().and_then(hex_value).filter(|_| count < most) {
            value = value.saturating_mul(16).saturating_add(u32::from(digit));
            self.at += 1;
            count += 1;
        }
        if braced {
            if self.peek() != Some(b'}') {
                return self.fault("non-hex character in \\x{} (closing brace missing?)");
            }
            if value > 0xff {
                return self.fault("character code point value in \\x{} or \\o{} is too large");
            }
            self.at += 1;
        }
        u8::try_from(value).or_else(|_| self.fault("character code point value in \\x{} or \\o{} is too large"))
    }
}

/// Writes one byte of a class.
pub(super) fn put_member(out: &mut String, byte: u8) {
    if byte.is_ascii_alphanumeric() || byte == b'_' { out.push(char::from(byte)) } else { put_hex(out, byte) }
}
