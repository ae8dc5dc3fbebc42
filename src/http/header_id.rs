//! The header names that something treats specially, told apart by one table look-up.

/// A header name that nginx or we know; everything else is [`HeaderId::Other`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum HeaderId {
    Host,
    Connection,
    IfModifiedSince,
    IfUnmodifiedSince,
    IfMatch,
    IfNoneMatch,
    UserAgent,
    Referer,
    ContentLength,
    ContentRange,
    ContentType,
    Range,
    IfRange,
    TransferEncoding,
    Te,
    Expect,
    Upgrade,
    AcceptEncoding,
    Via,
    Authorization,
    KeepAlive,
    XForwardedFor,
    XRealIp,
    Accept,
    AcceptLanguage,
    Depth,
    Destination,
    Overwrite,
    Date,
    Cookie,
    Status,
    Server,
    ContentEncoding,
    Location,
    LastModified,
    AcceptRanges,
    Expires,
    CacheControl,
    ETag,
    WwwAuthenticate,
    Refresh,
    SetCookie,
    ContentDisposition,
    Vary,
    Link,
    XAccelExpires,
    XAccelRedirect,
    XAccelLimitRate,
    XAccelBuffering,
    XAccelCharset,
    XPad,
    Allow,
    Age,
    Pragma,
    RetryAfter,
    Trailer,
    ProxyConnection,
    ProxyAuthenticate,
    ProxyAuthorization,
    Http2Settings,
    Forwarded,
    XForwardedProto,
    XForwardedHost,
    Other,
}

/// Every id but `Other`, in the order of the enum, with nginx's spelling.
const KNOWN: [(HeaderId, &str); HeaderId::Other as usize] = [
    (HeaderId::Host, "Host"),
    (HeaderId::Connection, "Connection"),
    (HeaderId::IfModifiedSince, "If-Modified-Since"),
    (HeaderId::IfUnmodifiedSince, "If-Unmodified-Since"),
    (HeaderId::IfMatch, "If-Match"),
    (HeaderId::IfNoneMatch, "If-None-Match"),
    (HeaderId::UserAgent, "User-Agent"),
    (HeaderId::Referer, "Referer"),
    (HeaderId::ContentLength, "Content-Length"),
    (HeaderId::ContentRange, "Content-Range"),
    (HeaderId::ContentType, "Content-Type"),
    (HeaderId::Range, "Range"),
    (HeaderId::IfRange, "If-Range"),
    (HeaderId::TransferEncoding, "Transfer-Encoding"),
    (HeaderId::Te, "TE"),
    (HeaderId::Expect, "Expect"),
    (HeaderId::Upgrade, "Upgrade"),
    (HeaderId::AcceptEncoding, "Accept-Encoding"),
    (HeaderId::Via, "Via"),
    (HeaderId::Authorization, "Authorization"),
    (HeaderId::KeepAlive, "Keep-Alive"),
    (HeaderId::XForwardedFor, "X-Forwarded-For"),
    (HeaderId::XRealIp, "X-Real-IP"),
    (HeaderId::Accept, "Accept"),
    (HeaderId::AcceptLanguage, "Accept-Language"),
    (HeaderId::Depth, "Depth"),
    (HeaderId::Destination, "Destination"),
    (HeaderId::Overwrite, "Overwrite"),
    (HeaderId::Date, "Date"),
    (HeaderId::Cookie, "Cookie"),
    (HeaderId::Status, "Status"),
    (HeaderId::Server, "Server"),
    (HeaderId::ContentEncoding, "Content-Encoding"),
    (HeaderId::Location, "Location"),
    (HeaderId::LastModified, "Last-Modified"),
    (HeaderId::AcceptRanges, "Accept-Ranges"),
    (HeaderId::Expires, "Expires"),
    (HeaderId::CacheControl, "Cache-Control"),
    (HeaderId::ETag, "ETag"),
    (HeaderId::WwwAuthenticate, "WWW-Authenticate"),
    (HeaderId::Refresh, "Refresh"),
    (HeaderId::SetCookie, "Set-Cookie"),
    (HeaderId::ContentDisposition, "Content-Disposition"),
    (HeaderId::Vary, "Vary"),
    (HeaderId::Link, "Link"),
    (HeaderId::XAccelExpires, "X-Accel-Expires"),
    (HeaderId::XAccelRedirect, "X-Accel-Redirect"),
    (HeaderId::XAccelLimitRate, "X-Accel-Limit-Rate"),
    (HeaderId::XAccelBuffering, "X-Accel-Buffering"),
    (HeaderId::XAccelCharset, "X-Accel-Charset"),
    (HeaderId::XPad, "X-Pad"),
    (HeaderId::Allow, "Allow"),
    (HeaderId::Age, "Age"),
    (HeaderId::Pragma, "Pragma"),
    (HeaderId::RetryAfter, "Retry-After"),
    (HeaderId::Trailer, "Trailer"),
    (HeaderId::ProxyConnection, "Proxy-Connection"),
    (HeaderId::ProxyAuthenticate, "Proxy-Authenticate"),
    (HeaderId::ProxyAuthorization, "Proxy-Authorization"),
    (HeaderId::Http2Settings, "HTTP2-Settings"),
    (HeaderId::Forwarded, "Forwarded"),
    (HeaderId::XForwardedProto, "X-Forwarded-Proto"),
    (HeaderId::XForwardedHost, "X-Forwarded-Host"),
];

/// Known names are at most this long.
pub(crate) const LONGEST: usize = 24;

/// The first 24 bytes of a name, or of a line that begins with it, as three little-endian words.
pub(crate) type NameWords = [u64; LONGEST / 8];

impl HeaderId {
    /// Which header `name`, in any case, is.
    pub(crate) fn of(name: &[u8]) -> HeaderId {
        HeaderId::of_words(&name_words(name), name.len())
    }

    /// As `of`, for a name of `length` bytes at the front of `words`.
    #[inline(always)]
    pub(crate) fn of_words(words: &NameWords, length: usize) -> HeaderId {
        let Some(mask) = MASKS.get(length) else { return HeaderId::Other };
        let (a, b, c) = (words[0] & mask[0], words[1] & mask[1], words[2] & mask[2]);
        let key = &KEYS[usize::from(SLOTS[hash(a, b, length)] % 64)];
        let cases = &key.cases;
        if (a | cases[0]) == key.words[0]
            && (b | cases[1]) == key.words[1]
            && (c | cases[2]) == key.words[2]
            && key.length == length
        {
            key.id
        } else {
            HeaderId::Other
        }
    }

    /// nginx's spelling; empty for [`HeaderId::Other`].
    pub(crate) fn name(self) -> &'static str {
        KNOWN.get(self as usize).map_or("", |(_, name)| name)
    }

    /// A bit of its own for each id, for sets in a `u64`.
    #[inline]
    pub(crate) const fn bit(self) -> u64 {
        1 << self as u8
    }

    /// The bits of the fields of which nginx allows one in a request.
    pub(crate) const UNIQUE: u64 = Self::Host.bit()
        | Self::IfModifiedSince.bit()
        | Self::IfUnmodifiedSince.bit()
        | Self::IfMatch.bit()
        | Self::IfNoneMatch.bit()
        | Self::ContentLength.bit()
        | Self::ContentRange.bit()
        | Self::IfRange.bit()
        | Self::TransferEncoding.bit()
        | Self::Expect.bit()
        | Self::Authorization.bit();
}

/// The front of `name`, or of a line that begins with it; zeros behind its end.
#[inline(always)]
pub(crate) fn name_words(name: &[u8]) -> NameWords {
    match name.first_chunk::<LONGEST>() {
        Some(front) => to_words(front),
        None => {
            let mut front = [0; LONGEST];
            front[..name.len()].copy_from_slice(name);
            to_words(&front)
        }
    }
}

#[inline(always)]
const fn to_words(front: &[u8; LONGEST]) -> NameWords {
    let [a, b, c] = *front.as_chunks::<8>().0 else { unreachable!() };
    [u64::from_le_bytes(a), u64::from_le_bytes(b), u64::from_le_bytes(c)]
}

/// Set in a letter, this bit makes it lower-case.
const CASE: u8 = 0x20;

#[repr(align(64))]
struct Key {
    /// The name in lower case.
    words: NameWords,
    /// `CASE` in the place of each letter.
    cases: NameWords,
    length: usize,
    id: HeaderId,
}

/// The known names as words, in the order of `KNOWN`; no name is equal to the key behind the last.
static KEYS: [Key; 64] = {
    let mut keys = [const { Key { words: [0; 3], cases: [!0; 3], length: 0, id: HeaderId::Other } }; 64];
    let mut index = 0;
    while index < KNOWN.len() {
        let (id, name) = KNOWN[index];
        assert!(id as usize == index, "KNOWN must follow the order of HeaderId");
        let (mut lower, mut cases) = ([0; LONGEST], [0; LONGEST]);
        let mut at = 0;
        while at < name.len() {
            let byte = name.as_bytes()[at];
            if byte.is_ascii_alphabetic() {
                cases[at] = CASE;
            }
            lower[at] = byte | cases[at];
            at += 1;
        }
        keys[index] = Key { words: to_words(&lower), cases: to_words(&cases), length: name.len(), id };
        index += 1;
    }
    keys
};

/// For each length, the bits of a name's words.
static MASKS: [NameWords; LONGEST + 1] = {
    let mut masks = [[0; 3]; LONGEST + 1];
    let mut length = 0;
    while length <= LONGEST {
        let mut at = 0;
        while at < length {
            masks[length][at / 8] |= 0xff << (at % 8 * 8);
            at += 1;
        }
        length += 1;
    }
    masks
};

/// The index in `KEYS` of each name at its hash; elsewhere one that no name is equal to.
static SLOTS: [u8; 256] = {
    let mut slots = [KNOWN.len() as u8; 256];
    let mut index = 0;
    while index < KNOWN.len() {
        let key = &KEYS[index];
        let slot = hash(key.words[0], key.words[1], key.length);
        assert!(slots[slot] as usize == KNOWN.len(), "two names meet: look for another FACTOR");
        slots[slot] = index as u8;
        index += 1;
    }
    slots
};

/// Found by trying: with it no two known names have the same hash.
const FACTOR: u64 = 0x46be_61ff_b9a5_1cab;

/// From the first two words and the length, in any case.
#[inline(always)]
const fn hash(a: u64, b: u64, length: usize) -> usize {
    const CASES: u64 = u64::from_le_bytes([CASE; 8]);
    let mixed = (a | CASES).wrapping_add(b | CASES) ^ length as u64;
    (mixed.wrapping_mul(FACTOR) >> 56) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_every_known_name_in_any_case() {
        for (id, name) in KNOWN {
            assert_eq!(HeaderId::of(name.as_bytes()), id);
            assert_eq!(HeaderId::of(name.to_ascii_lowercase().as_bytes()), id);
            assert_eq!(HeaderId::of(name.to_ascii_uppercase().as_bytes()), id);
            assert_eq!(id.name(), name);
        }
        assert_eq!(HeaderId::Other.name(), "");
    }

    #[test]
    fn does_not_mistake_others() {
        for name in [
            &b""[..],
            b"H",
            b"Hosts",
            b"Content\rLength",
            b"Content_Length",
            b"HTTP\x12-Settings",
            b"\0",
            b"Host\0",
            b"X-Forwarded-Fox",
            b"Coo\0ie",
        ] {
            assert_eq!(HeaderId::of(name), HeaderId::Other, "{name:?}");
        }
    }
}
