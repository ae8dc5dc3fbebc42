//! Variants: an answer that names headers of the request in `Vary` is kept for the values that they had.

use super::Caching;
use crate::cache::Key;
use crate::http::Request;
use crate::http::md5::md5;

/// Headers in which spaces mean nothing.
const NORMALISED: [&[u8]; 3] = [b"accept-charset", b"accept-encoding", b"accept-language"];

impl Caching {
    /// The key of the variant that a request asks for.
    pub(super) fn variant(&self, r: &Request, vary: &[u8]) -> Key {
        let mut text = self.main.0.to_vec();
        let lower = vary.to_ascii_lowercase();
        for name in words(&lower) {
            text.extend_from_slice(name);
            text.push(b':');
            append_values(r, name, &mut text);
            text.extend_from_slice(b"\r\n");
        }
        Key(md5(&[&text]))
    }
}

/// What stands between spaces and commas.
fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| matches!(byte, b' ' | b',')).filter(|word| !word.is_empty())
}

fn append_values(r: &Request, name: &[u8], text: &mut Vec<u8>) {
    let normalised = NORMALISED.contains(&name);
    let mut several = false;
    let mut add = |value: &[u8]| {
        if std::mem::replace(&mut several, true) {
            text.push(b',');
        }
        text.extend_from_slice(value);
    };
    for (_, other, value) in r.headers.borrow().iter() {
        if !other.eq_ignore_ascii_case(name) {
            continue;
        }
        match normalised {
            true => words(value).for_each(&mut add),
            false => add(value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn splits_at_spaces_and_commas() {
        assert_eq!(words(b" a,b , c").collect::<Vec<_>>(), [b"a", b"b", b"c"]);
        assert_eq!(words(b" , ").count(), 0);
    }
}
