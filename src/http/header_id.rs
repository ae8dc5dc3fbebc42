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

impl HeaderId {
    /// Which header `name`, in any case, is.
    #[inline]
    pub(crate) fn of(name: &[u8]) -> HeaderId {
        let mut slot = hash(name);
        loop {
            let Some((id, known)) = KNOWN.get(usize::from(SLOTS[slot % SLOTS.len()])) else {
                return HeaderId::Other;
            };
            if known.as_bytes().eq_ignore_ascii_case(name) {
                return *id;
            }
            slot += 1;
        }
    }

    /// nginx's spelling; empty for [`HeaderId::Other`].
    pub(crate) fn name(self) -> &'static str {
        KNOWN.get(self as usize).map_or("", |(_, name)| name)
    }

    /// A bit of its own for each id, for sets in a `u128`.
    #[inline]
    pub(crate) fn bit(self) -> u128 {
        1 << self as u8
    }
}

const EMPTY: u8 = u8::MAX;

/// Open addressing: the index in `KNOWN` of each name at its hash, or at the next free slot.
static SLOTS: [u8; 256] = fill_slots();

const fn fill_slots() -> [u8; 256] {
    let mut slots = [EMPTY; 256];
    let mut index = 0;
    while index < KNOWN.len() {
        assert!(KNOWN[index].0 as usize == index, "KNOWN must follow the order of HeaderId");
        let mut slot = hash(KNOWN[index].1.as_bytes());
        while slots[slot % slots.len()] != EMPTY {
            slot += 1;
        }
        slots[slot % slots.len()] = index as u8;
        index += 1;
    }
    slots
}

/// Length, first, middle and last letter; the factors were searched for so that no two known names meet.
#[inline]
const fn hash(name: &[u8]) -> usize {
    if name.is_empty() {
        return 0;
    }
    let first = (name[0] | 0x20) as usize;
    let middle = (name[name.len() / 2] | 0x20) as usize;
    let last = (name[name.len() - 1] | 0x20) as usize;
    name.len() + first * 27 + middle * 23 + last * 15
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
        for name in [&b""[..], b"H", b"Hosts", b"Content\rLength", b"Content_Length", b"X-Forwarded-Fox", b"Coo\0ie"] {
            assert_eq!(HeaderId::of(name), HeaderId::Other, "{name:?}");
        }
    }
}
