//! The value of `Range`, read as nginx reads it.

/// Bytes from `start` up to but not including `end`; never empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) start: u64,
    pub(super) end: u64,
}

/// What a `Range` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// Everything, as if there were no such header.
    Whole,
    /// Nothing that is there, or nothing that can be understood: 416.
    Unsatisfiable,
    /// These parts.
    Parts(Vec<Part>),
}

/// Reads what follows `bytes=`. More than `max` parts, or parts that together are longer than the whole,
/// are answered with the whole.
pub(super) fn parse(value: &[u8], length: u64, max: u64) -> Parsed {
    let mut reader = Reader { rest: value };
    let mut parts = Vec::new();
    let mut size: u64 = 0;
    loop {
        let Some((start, end)) = reader.range(length) else { return Parsed::Unsatisfiable };
        if start < end {
            size = size.saturating_add(end - start);
            if parts.len() as u64 == max || size > i64::MAX as u64 {
                return if size > i64::MAX as u64 { Parsed::Unsatisfiable } else { Parsed::Whole };
            }
            parts.push(Part { start, end });
        } else if start == 0 {
            return Parsed::Whole;
        }
        if !reader.skip(b',') {
            break;
        }
    }
    if parts.is_empty() {
        return Parsed::Unsatisfiable;
    }
    if size > length { Parsed::Whole } else { Parsed::Parts(parts) }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    /// One range, cut to the length; `None` where it cannot be understood.
    fn range(&mut self, length: u64) -> Option<(u64, u64)> {
        self.spaces();
        if self.skip(b'-') {
            let suffix = self.number()?;
            self.end()?;
            return Some((length.saturating_sub(suffix), length));
        }
        let start = self.number()?;
        self.spaces();
        if !self.skip(b'-') {
            return None;
        }
        self.spaces();
        if self.end().is_some() {
            return Some((start, length));
        }
        let last = self.number()?;
        self.end()?;
        Some((start, length.min(last.saturating_add(1))))
    }

    /// Spaces, then a comma (left where it is) or nothing more.
    fn end(&mut self) -> Option<()> {
        self.spaces();
        matches!(self.rest.first(), None | Some(b',')).then_some(())
    }

    fn spaces(&mut self) {
        while self.skip(b' ') {}
    }

    fn skip(&mut self, byte: u8) -> bool {
        let Some(rest) = self.rest.strip_prefix(&[byte]) else { return false };
        self.rest = rest;
        true
    }

    fn number(&mut self) -> Option<u64> {
        let digits = self.rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let (number, rest) = self.rest.split_at(digits);
        self.rest = rest;
        if digits == 0 {
            return None;
        }
        number
            .iter()
            .try_fold(0i64, |number, digit| number.checked_mul(10)?.checked_add(i64::from(digit - b'0')))
            .map(|number| number.unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(value: &str) -> Vec<(u64, u64)> {
        match parse(value.as_bytes(), 100, 5) {
            Parsed::Parts(parts) => parts.iter().map(|part| (part.start, part.end)).collect(),
            other => panic!("{value}: {other:?}"),
        }
    }

    #[test]
    fn reads_ranges() {
        assert_eq!(parts("0-0"), [(0, 1)]);
        assert_eq!(parts("10-"), [(10, 100)]);
        assert_eq!(parts("10-1000"), [(10, 100)]);
        assert_eq!(parts("-5"), [(95, 100)]);
        assert_eq!(parts("-500"), [(0, 100)]);
        assert_eq!(parts(" 1 - 2 , 4 -5 "), [(1, 3), (4, 6)]);
        assert_eq!(parts("0-1,200-300,-1"), [(0, 2), (99, 100)]);
    }

    #[test]
    fn refuses_what_is_not_there() {
        for value in ["100-", "100-200", "-0", "", "a", "1", "1-2x", "5-4,7", "9223372036854775808-", "1--2"] {
            assert_eq!(parse(value.as_bytes(), 100, 5), Parsed::Unsatisfiable, "{value}");
        }
    }

    #[test]
    fn gives_the_whole_instead() {
        assert_eq!(parse(b"0-0,1-1,2-2", 100, 2), Parsed::Whole);
        assert_eq!(parse(b"0-99,0-0", 100, 5), Parsed::Whole);
        assert_eq!(parse(b"0-", 0, 5), Parsed::Whole);
        assert_eq!(parse(b"-1", 0, 5), Parsed::Whole);
    }
}
