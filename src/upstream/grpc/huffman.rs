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

/// A string decoded; `None` where it is no such code, or padded with others than ones. nginx takes a whole byte of them.
pub(crate) fn decode(input: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(input.len() * 2);
    let (mut code, mut length) = (0u32, 0);
    for byte in input {
        for bit in (0..8).rev() {
            code = code << 1 | u32::from(byte >> bit & 1);
            length += 1;
            if length > LONGEST {
                return None;
            }
            let index = code.wrapping_sub(TABLE.first[length]) as usize;
            if code < TABLE.first[length] || index >= TABLE.start[length + 1] - TABLE.start[length] {
                continue;
            }
            out.push(u8::try_from(TABLE.symbols[TABLE.start[length] + index]).ok()?);
            (code, length) = (0, 0);
        }
    }
    let padding = (1u32 << length) - 1;
    (length <= 8 && code == padding).then_some(out)
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

    #[test]
    fn codes_as_the_rfc_does() {
        // RFC 7541 appendix C.4.1.
        let coded = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(encode(b"www.example.com".iter().copied()), coded);
        assert_eq!(decode(&coded).unwrap(), b"www.example.com");
        let all: Vec<u8> = (0..=255).collect();
        assert_eq!(decode(&encode(all.iter().copied())).unwrap(), all);
        assert_eq!(decode(&[0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(decode(&[0xf1, 0xe0]), None);
    }
}
