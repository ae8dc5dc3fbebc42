//! What MD5 and SHA-1 have in common: text in blocks of 64 bytes, its length behind it.

/// Hands pieces, one behind the other, over in blocks: behind them stands a bit, zeros, and their length in bits.
pub(super) fn blocks(pieces: &[&[u8]], length_bytes: fn(u64) -> [u8; 8], mut add: impl FnMut(&[u8; 64])) {
    let length: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut padding = [0; 72];
    padding[0] = 0x80;
    let zeros = (119 - length % 64) % 64;
    padding[1 + zeros..][..8].copy_from_slice(&length_bytes(length as u64 * 8));
    let (mut block, mut filled) = ([0; 64], 0);
    for mut piece in pieces.iter().copied().chain([&padding[..zeros + 9]]) {
        while !piece.is_empty() {
            let (now, later) = piece.split_at(piece.len().min(64 - filled));
            block[filled..filled + now.len()].copy_from_slice(now);
            filled += now.len();
            piece = later;
            if filled == 64 {
                add(&block);
                filled = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pads_to_whole_blocks() {
        for length in 0..200 {
            let text = vec![b'x'; length];
            let mut all = Vec::new();
            blocks(&[&text], u64::to_be_bytes, |block| all.extend_from_slice(block));
            assert_eq!(all.len(), (length + 9).div_ceil(64) * 64, "{length}");
            assert_eq!(all[length], 0x80);
            assert_eq!(all[all.len() - 8..], (length as u64 * 8).to_be_bytes());
        }
    }
}
