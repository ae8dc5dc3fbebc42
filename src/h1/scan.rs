//! Looking for the few bytes that end something, eight bytes at a step.

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGHS: u64 = ONES << 7;

/// How many bytes stand before the first one below a space: all of them if there is none.
///
/// Most bytes of a head are in values, so these are looked at in blocks that the compiler has vectors for.
#[inline(always)]
pub(super) fn control(input: &[u8]) -> usize {
    let mut rest = input;
    while let Some((block, after)) = rest.split_first_chunk::<16>() {
        if has_control(block) {
            let word = u128::from_le_bytes(*block);
            let (low, high) = (below(word as u64, b' '), below((word >> 64) as u64, b' '));
            let at = if low != 0 { low.trailing_zeros() } else { 64 + high.trailing_zeros() };
            return input.len() - rest.len() + at as usize / 8;
        }
        rest = after;
    }
    input.len() - rest.len() + first(rest, |word| below(word, b' '), |byte| byte < b' ')
}

/// Looks at all bytes, whatever it finds: no branches.
#[inline(always)]
fn has_control(block: &[u8; 16]) -> bool {
    block.iter().fold(false, |found, &byte| found | (byte < b' '))
}

/// How many bytes stand before the first colon, if that is one of these 24 bytes.
#[inline(always)]
pub(super) fn colon(words: &[u64; 3]) -> Option<usize> {
    for (index, &word) in words.iter().enumerate() {
        let marked = equal(word, b':');
        if marked != 0 {
            return Some(index * 8 + marked.trailing_zeros() as usize / 8);
        }
    }
    None
}

/// How many bytes stand before the first colon, space or control byte: all of them if there is none.
pub(super) fn name_end(input: &[u8]) -> usize {
    first(input, |word| below(word, b'!') | equal(word, b':'), |byte| byte <= b' ' || byte == b':')
}

/// How many bytes stand before the first one that ends the arguments of a request target or makes it odd:
/// a space, a control byte, DEL or `#`; all of them if there is none.
#[inline]
pub(super) fn args_end(input: &[u8]) -> usize {
    first(
        input,
        |word| below(word, b'!') | equal(word, b'#') | equal(word, 0x7f),
        |byte| matches!(byte, 0..=b' ' | b'#' | 0x7f),
    )
}

/// `marks` sets the high bit of each byte it is after; only the lowest of them needs to be right.
#[inline(always)]
fn first(input: &[u8], marks: impl Fn(u64) -> u64, is_one: impl Fn(u8) -> bool) -> usize {
    let (words, tail) = input.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let marked = marks(u64::from_le_bytes(*word));
        if marked != 0 {
            return index * 8 + marked.trailing_zeros() as usize / 8;
        }
    }
    if let (Some(word), false) = (input.last_chunk::<8>(), tail.is_empty()) {
        // The last eight bytes: those that were looked at already have no mark.
        let marked = marks(u64::from_le_bytes(*word));
        let at = if marked != 0 { marked.trailing_zeros() as usize / 8 } else { 8 };
        return input.len() - 8 + at;
    }
    words.len() * 8 + tail.iter().position(|&byte| is_one(byte)).unwrap_or(tail.len())
}

/// Marks the bytes below `limit`, which is at most 128. A false mark can only stand above a right one.
#[inline(always)]
const fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * limit as u64) & !word & HIGHS
}

/// Marks the bytes that are `byte`. A false mark can only stand above a right one.
#[inline(always)]
const fn equal(word: u64, byte: u8) -> u64 {
    let differs = word ^ (ONES * byte as u64);
    differs.wrapping_sub(ONES) & !differs & HIGHS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_a_look_at_each_byte() {
        for byte in 0..=255u8 {
            for at in 0..44 {
                let mut input = *b"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqr";
                input[at] = byte;
                let expect = |stop: bool| if stop { at } else { 44 };
                assert_eq!(control(&input), expect(byte < 32));
                assert_eq!(name_end(&input), expect(byte <= 32 || byte == b':'));
                assert_eq!(args_end(&input), expect(byte <= 32 || byte == b'#' || byte == 127));
                let words = [0, 8, 16].map(|at| u64::from_le_bytes(input[at..at + 8].try_into().unwrap()));
                assert_eq!(colon(&words), (at < 24 && byte == b':').then_some(at));
            }
        }
        assert_eq!(control(b""), 0);
        assert_eq!(name_end(b"\xff\x80\x01:\x01:\x01:"), 2);
    }
}
