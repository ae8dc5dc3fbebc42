//! The few browsers that nginx treats specially, known by their `User-Agent`.

use memchr::memmem;

/// What a `User-Agent` shows. Asked for only where a rule needs it: `msie_padding`, `msie_refresh`,
/// `keepalive_disable`, `gzip_disable msie6`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Browser {
    pub(crate) msie: bool,
    /// MSIE 4 to 6, without 6 of XP SP2.
    pub(crate) msie6: bool,
    pub(crate) opera: bool,
    pub(crate) gecko: bool,
    pub(crate) chrome: bool,
    pub(crate) safari: bool,
    pub(crate) konqueror: bool,
}

impl Browser {
    pub(crate) fn of(user_agent: &[u8]) -> Browser {
        let has = |part: &str| memmem::find(user_agent, part.as_bytes()).is_some();
        if has("Opera") {
            return Browser { opera: true, ..Browser::default() };
        }
        let msie = memmem::find(user_agent, b"MSIE ").map(|at| &user_agent[at..]).filter(|rest| rest.len() > 7);
        if let Some(rest) = msie {
            return Browser { msie: true, msie6: is_msie6(rest), ..Browser::default() };
        }
        let gecko = has("Gecko/");
        let chrome = !gecko && has("Chrome/");
        let safari = !gecko && !chrome && has("Safari/") && has("Mac OS X");
        let konqueror = !gecko && !chrome && !safari && has("Konqueror");
        Browser { gecko, chrome, safari, konqueror, ..Browser::default() }
    }
}

/// `rest` begins with `MSIE ` and is longer than 7 bytes.
fn is_msie6(rest: &[u8]) -> bool {
    match (rest[5], rest[6]) {
        (b'4' | b'5', b'.') => true,
        (b'6', b'.') => memmem::find(&rest[8..], b"SV1").is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_browsers_apart() {
        let nothing = Browser::default();
        let of = |agent: &str| Browser::of(agent.as_bytes());
        assert_eq!(of("Mozilla/5.0 (X11; Linux) Gecko/20100101 Firefox/130"), Browser { gecko: true, ..nothing });
        assert_eq!(
            of("Mozilla/5.0 (X11) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0 Safari/537.36"),
            Browser { chrome: true, ..nothing }
        );
        assert_eq!(of("Mozilla/5.0 (Macintosh; Intel Mac OS X) Safari/1"), Browser { safari: true, ..nothing });
        assert_eq!(of("Konqueror/4"), Browser { konqueror: true, ..nothing });
        assert_eq!(of("Mozilla/4.0 (compatible; MSIE 6.0; NT)"), Browser { msie: true, msie6: true, ..nothing });
        assert_eq!(of("Mozilla/4.0 (compatible; MSIE 6.0; SV1)"), Browser { msie: true, ..nothing });
        assert_eq!(of("MSIE 6.0; Opera 8"), Browser { opera: true, ..nothing });
        assert_eq!(of("MSIE 6."), nothing);
        assert_eq!(of("curl/8"), nothing);
    }
}
