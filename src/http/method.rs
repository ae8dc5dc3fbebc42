//! Request methods: nginx's known set. The name as sent is kept by the request head.

/// A request method; any token nginx does not know is [`Method::Unknown`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Method {
    #[default]
    Unknown,
    Get,
    Head,
    Post,
    Put,
    Delete,
    Mkcol,
    Copy,
    Move,
    Options,
    Propfind,
    Proppatch,
    Lock,
    Unlock,
    Patch,
    Trace,
    Connect,
}

impl Method {
    /// The method of this exact, upper-case name.
    #[inline]
    pub(crate) fn of(name: &[u8]) -> Method {
        match name {
            b"GET" => Method::Get,
            b"HEAD" => Method::Head,
            b"POST" => Method::Post,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"MKCOL" => Method::Mkcol,
            b"COPY" => Method::Copy,
            b"MOVE" => Method::Move,
            b"OPTIONS" => Method::Options,
            b"PROPFIND" => Method::Propfind,
            b"PROPPATCH" => Method::Proppatch,
            b"LOCK" => Method::Lock,
            b"UNLOCK" => Method::Unlock,
            b"PATCH" => Method::Patch,
            b"TRACE" => Method::Trace,
            b"CONNECT" => Method::Connect,
            _ => Method::Unknown,
        }
    }

    /// The name; empty for one that nginx does not know.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Method::Unknown => "",
            Method::Get => "GET",
            Method::Head => "HEAD",
            Method::Post => "POST",
            Method::Put => "PUT",
            Method::Delete => "DELETE",
            Method::Mkcol => "MKCOL",
            Method::Copy => "COPY",
            Method::Move => "MOVE",
            Method::Options => "OPTIONS",
            Method::Propfind => "PROPFIND",
            Method::Proppatch => "PROPPATCH",
            Method::Lock => "LOCK",
            Method::Unlock => "UNLOCK",
            Method::Patch => "PATCH",
            Method::Trace => "TRACE",
            Method::Connect => "CONNECT",
        }
    }

    /// A bit of its own, for sets of methods such as `limit_except`'s: nginx's `NGX_HTTP_GET` and so on.
    #[inline]
    pub(crate) const fn bit(self) -> u32 {
        1 << self as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_exact_names_only() {
        assert_eq!(Method::of(b"GET"), Method::Get);
        assert_eq!(Method::of(b"PROPPATCH"), Method::Proppatch);
        assert_eq!(Method::of(Method::Unlock.name().as_bytes()), Method::Unlock);
        for name in [&b""[..], b"get", b"GETS", b"BREW", b"M-SEARCH"] {
            assert_eq!(Method::of(name), Method::Unknown);
        }
    }

    #[test]
    fn has_a_bit_each() {
        assert_eq!(Method::Unknown.bit(), 1);
        assert_eq!(Method::Get.bit(), 2);
        assert_eq!(Method::Connect.bit(), 0x10000);
    }
}
