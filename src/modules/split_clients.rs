//! `split_clients`: a variable whose value depends on a hash. <https://nginx.org/en/docs/http/ngx_http_split_clients_module.html>

use bytes::Bytes;

use crate::conf::{Args, Command, Ctx, Module, SetResult};
use crate::diag::Diagnostic;
use crate::http::{Compute, Getter, Request, Script};
use crate::syntax::Directive;

/// `ngx_http_split_clients_module`.
pub struct SplitClients;

impl Module for SplitClients {
    type Conf = ();
    const NAME: &'static str = "http_split_clients";
    const COMMANDS: &'static [Command<()>] = &[Command::custom("split_clients", add)];
}

/// Hundredths of a percent in everything.
const ALL: u64 = 10_000;

fn add(_c: &mut (), args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let source = ctx.script(args.word(1))?;
    let mut parts = Vec::new();
    for row in args.directive().children() {
        match part(row) {
            Ok(part) => parts.push(part),
            Err(fault) => ctx.complain_in(row, fault),
        }
    }
    let Some(parts) = cumulate(parts) else {
        let fault = Diagnostic::error("invalid-percent", "percent total is greater than 100%");
        let close = args.directive().block.as_ref().map(|block| block.close);
        ctx.complain(close.into_iter().fold(fault.at(args.word(0).span), Diagnostic::nginx_at));
        return Ok(());
    };
    ctx.define_variable(args.word(2), Getter::Computed(Box::new(Split { source, parts })), true)?;
    Ok(())
}

/// A share in hundredths of a percent, `None` for `*`, and the value.
fn part(row: &Directive) -> Result<(Option<u64>, Bytes), Diagnostic> {
    let value = row.args.first().map_or(Bytes::new(), |word| Bytes::copy_from_slice(&word.value));
    if *row.name.value == *b"*" {
        return Ok((None, value));
    }
    let percent = row.name.value.strip_suffix(b"%").and_then(hundredths).filter(|percent| *percent > 0);
    let message = || format!("invalid percent value \"{}\"", row.name.text());
    let percent = percent.ok_or_else(|| Diagnostic::error("invalid-percent", message()).at(row.name.span))?;
    Ok((Some(percent), value))
}

/// A number with at most two decimals, as hundredths.
fn hundredths(text: &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    let mut decimals = None;
    for byte in text {
        match (byte, decimals) {
            (b'.', None) => decimals = Some(0),
            (b'0'..=b'9', Some(2..)) => return None,
            (b'0'..=b'9', _) => {
                value = value.checked_mul(10)?.checked_add(u64::from(byte - b'0'))?;
                decimals = decimals.map(|count| count + 1);
            }
            _ => return None,
        }
    }
    let missing = 2 - decimals.unwrap_or(0);
    if text.is_empty() { None } else { value.checked_mul(10_u64.pow(missing)) }
}

/// Makes borders of shares: a hash below one belongs to it. `None` where they are more than everything.
fn cumulate(parts: Vec<(Option<u64>, Bytes)>) -> Option<Vec<(Option<u32>, Bytes)>> {
    let (mut sum, mut border) = (0, 0_u32);
    let mut out = Vec::with_capacity(parts.len());
    for (share, value) in parts {
        sum = share.map_or(ALL, |share| sum + share);
        if sum > ALL {
            return None;
        }
        let border = share.map(|share| {
            let width = share * u64::from(u32::MAX) / ALL;
            border = border.wrapping_add(u32::try_from(width).unwrap_or(u32::MAX));
            border
        });
        out.push((border, value));
    }
    Some(out)
}

struct Split {
    source: Script,
    parts: Vec<(Option<u32>, Bytes)>,
}

impl Compute for Split {
    fn compute(&self, r: &Request, out: &mut Vec<u8>) -> bool {
        let hash = murmur2(&self.source.eval(r));
        let belongs = |border: &Option<u32>| border.is_none_or(|border| hash < border);
        if let Some((_, value)) = self.parts.iter().find(|(border, _)| belongs(border)) {
            out.extend_from_slice(value);
        }
        true
    }
}

/// MurmurHash2 with seed 0.
fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = data.len() as u32;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut mixed = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        mixed ^= mixed >> 24;
        hash = hash.wrapping_mul(M) ^ mixed.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail: u32, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ hash >> 15
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_percentages() {
        let read = |text: &str| hundredths(text.as_bytes());
        assert_eq!(
            (read("50"), read("0.5"), read("12.34"), read("100.")),
            (Some(5000), Some(50), Some(1234), Some(10_000))
        );
        assert_eq!((read("1.234"), read("x"), read(""), read("1.2.3"), read("-1")), (None, None, None, None, None));
    }

    #[test]
    fn cuts_the_range_of_hashes() {
        let parts = |shares: &[Option<u64>]| cumulate(shares.iter().map(|share| (*share, Bytes::new())).collect());
        let borders = |shares: &[Option<u64>]| {
            parts(shares).map(|parts| parts.into_iter().map(|(border, _)| border).collect::<Vec<_>>())
        };
        let half = u32::MAX / 2;
        assert_eq!(borders(&[Some(5000), Some(5000)]), Some(vec![Some(half), Some(half * 2)]));
        assert_eq!(borders(&[Some(5000), None]), Some(vec![Some(half), None]));
        assert_eq!(borders(&[Some(5001), Some(5000)]), None);
        assert_eq!(borders(&[None, Some(1)]), None);
    }

    #[test]
    fn hashes_as_murmur_hash_2_does() {
        assert_eq!((murmur2(b""), murmur2(b"a"), murmur2(b"abcd")), (0, 0x9268_5f5e, 0x2687_3021));
        assert_ne!(murmur2(b"abc"), murmur2(b"abd"));
    }
}
