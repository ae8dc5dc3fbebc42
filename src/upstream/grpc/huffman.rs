//! The Huffman code of HPACK, RFC 7541 appendix B. It is canonical, so the lengths of the codes say everything.

/// How many bits each byte takes; the last one is the end of the string, which never appears.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

const LONGEST: usize = 30;

struct Table {
    /// The first code of each length.
    first: [u32; LONGEST + 1],
    /// Where the symbols of each length begin.
    start: [usize; LONGEST + 2],
    /// Symbols by length, then by value.
    symbols: [u16; 257],
    codes: [u32; 257],
}

static TABLE: Table = {
    let mut table = Table { first: [0; LONGEST + 1], start: [0; LONGEST + 2], symbols: [0; 257], codes: [0; 257] };
    let (mut code, mut placed, mut length) = (0u32, 0, 1);
    while length <= LONGEST {
        code <<= 1;
        table.first[length] = code;
        table.start[length] = placed;
        let mut symbol = 0;
        while symbol < 257 {
            if LENGTHS[symbol] as usize == length {
                table.symbols[placed] = symbol as u16;
                table.codes[symbol] = code;
                placed += 1;
                code += 1;
            }
            symbol += 1;
        }
        length += 1;
    }
    table.start[LONGEST + 1] = placed;
    table
};

/// How many bits are looked at together: all that text is made of takes no more.
const WINDOW: u32 = 8;

/// The byte that so many bits begin with, and how many of them it takes: 0 where it takes more.
static SHORT: [(u8, u8); 1 << WINDOW] = {
    let mut short = [(0, 0); 1 << WINDOW];
    let mut symbol = 0;
    while symbol < 256 {
        let length = LENGTHS[symbol] as u32;
        if length <= WINDOW {
            let first = (TABLE.codes[symbol] << (WINDOW - length)) as usize;
            let mut at = 0;
            while at < 1 << (WINDOW - length) {
                short[first + at] = (symbol as u8, length as u8);
                at += 1;
            }
        }
        symbol += 1;
    }
    short
};

/// Decodes a string behind what is there; `None` where it is no such code, or padded with others than ones. nginx takes a
/// whole byte of them.
pub(crate) fn decode(input: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (mut rest, mut bits) = (input, Bits::default());
    out.reserve(input.len() * 2);
    loop {
        bits.fill(&mut rest);
        while bits.have >= WINDOW {
            let (byte, length) = SHORT[(bits.value >> (bits.have - WINDOW)) as usize % SHORT.len()];
            if length == 0 {
                break;
            }
            bits.have -= u32::from(length);
            out.push(byte);
        }
        if bits.have <= 32 && !rest.is_empty() {
            // The longest code may need more than is there.
            continue;
        }
        // A long code, or the end.
        let (byte, length) = match SHORT[bits.first(WINDOW) as usize] {
            (_, 0) => match bits.find_long() {
                Some(found) => found?,
                None => break,
            },
            (byte, length) => (byte, u32::from(length)),
        };
        if length > bits.have {
            break;
        }
        bits.have -= length;
        out.push(byte);
    }
    (bits.have <= 8 && bits.first(bits.have) == (1 << bits.have) - 1).then_some(())
}

/// Bits that were read and not decoded yet: the lowest of a number.
#[derive(Clone, Copy, Default)]
struct Bits {
    value: u64,
    have: u32,
}

impl Bits {
    /// Takes as many bytes as there is room for.
    fn fill(&mut self, rest: &mut &[u8]) {
        if let Some((four, behind)) = rest.split_first_chunk::<4>()
            && self.have <= u64::BITS - 32
        {
            (self.value, self.have) = (self.value << 32 | u64::from(u32::from_be_bytes(*four)), self.have + 32);
            *rest = behind;
            return;
        }
        while self.have <= u64::BITS - 8
            && let Some((byte, behind)) = rest.split_first()
        {
            (self.value, self.have) = (self.value << 8 | u64::from(*byte), self.have + 8);
            *rest = behind;
        }
    }

    /// The first of them, as many as that; ones follow the last.
    fn first(self, count: u32) -> u32 {
        let ones = (1u64 << count) - 1;
        let bits = match self.have.checked_sub(count) {
            Some(more) => self.value >> more & ones,
            None => (self.value << (count - self.have) | ones >> self.have) & ones,
        };
        bits as u32
    }

    /// The byte that a long code stands for, and the code's length. `None` where it does not end here, or in it where there
    /// is no such code.
    fn find_long(self) -> Option<Option<(u8, u32)>> {
        for length in WINDOW + 1..=LONGEST as u32 {
            if length > self.have {
                return None;
            }
            let (code, at) = (self.first(length), length as usize);
            let index = code.wrapping_sub(TABLE.first[at]) as usize;
            if code >= TABLE.first[at] && index < TABLE.start[at + 1] - TABLE.start[at] {
                let byte = u8::try_from(TABLE.symbols[TABLE.start[at] + index]);
                return Some(byte.ok().map(|byte| (byte, length)));
            }
        }
        Some(None)
    }
}

/// How many bytes a string takes, and the string encoded.
pub(super) fn encode(input: impl Iterator<Item = u8>) -> Vec<u8> {
    let (mut out, mut bits, mut have) = (Vec::new(), 0u64, 0);
    for byte in input {
        bits = bits << LENGTHS[usize::from(byte)] | u64::from(TABLE.codes[usize::from(byte)]);
        have += u32::from(LENGTHS[usize::from(byte)]);
        while have >= 8 {
            have -= 8;
            out.push((bits >> have) as u8);
        }
    }
    if have > 0 {
        out.push((bits << (8 - have)) as u8 | (0xff >> have) as u8);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(input: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        decode(input, &mut out).map(|()| out)
    }

    #[test]
    fn codes_as_the_rfc_does() {
        // RFC 7541 appendix C.4.1.
        let coded = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(encode(b"www.example.com".iter().copied()), coded);
        assert_eq!(decoded(&coded).unwrap(), b"www.example.com");
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        assert_eq!(decoded(&encode(all.iter().copied())).unwrap(), all);
        for byte in 0..=255 {
            for text in [vec![byte], vec![b'a', byte], vec![byte; 9], [vec![b'0'; 3], vec![byte]].concat()] {
                assert_eq!(decoded(&encode(text.iter().copied())).unwrap(), text);
            }
        }
        assert_eq!(decoded(b"").unwrap(), b"");
        let mut number = 1u32;
        for length in 0..2000 {
            // Short codes and long ones, in any place.
            let mut next = || {
                number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let byte = (number >> 16) as u8;
                if number >> 30 == 0 { byte } else { b"aeiost0?&x/"[usize::from(byte) % 11] }
            };
            let text: Vec<u8> = (0..length % 40).map(|_| next()).collect();
            assert_eq!(decoded(&encode(text.iter().copied())).unwrap(), text);
        }
    }

    #[test]
    fn takes_no_other_padding_and_no_end() {
        for wrong in [&[0xff, 0xff, 0xff, 0xff][..], &[0xf1, 0xe0], &[0x00], &[0x1f, 0xff], &[0x1f, 0xff, 0xff]] {
            assert_eq!(decoded(wrong), None, "{wrong:?}");
        }
        assert_eq!((decoded(&[0x1f]).unwrap(), decoded(&[0xff]).unwrap()), (b"a".to_vec(), Vec::new()));
    }
}
