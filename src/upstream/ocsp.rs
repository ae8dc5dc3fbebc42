//! Where responders for OCSP are, as certificates and configurations name them.

use super::address::Address;
use super::url::{UriPart, parse};
use crate::tls::Responder;

/// Why a URL names no responder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BadResponder {
    /// It does not begin with `http://`.
    Prefix,
    /// nginx's words, and what follows `http://`.
    Address(&'static str, String),
}

/// Reads a responder's URL. The addresses of a name are not looked up.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn responder(url: &[u8]) -> Result<Responder, BadResponder> {
    const HTTP: &[u8] = b"http://";
    let (scheme, address) = url.split_at_checked(HTTP.len()).ok_or(BadResponder::Prefix)?;
    if !scheme.eq_ignore_ascii_case(HTTP) || address.is_empty() {
        return Err(BadResponder::Prefix);
    }
    let bad = |why| BadResponder::Address(why, String::from_utf8_lossy(address).into_owned());
    let url = parse(address, 80, UriPart::Allowed).map_err(bad)?;
    let addresses = match &url.address {
        Some(Address::Tcp(address)) => vec![*address],
        _ => Vec::new(),
    };
    let uri = if url.uri.is_empty() { b"/".to_vec() } else { url.uri.to_vec() };
    Ok(Responder { host: url.host.to_vec(), port: url.port, uri, addresses })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_urls() {
        let read = responder(b"HTTP://127.0.0.1:81").unwrap();
        assert_eq!((read.port, &read.uri[..], read.addresses.len()), (81, &b"/"[..], 1));
        assert_eq!(responder(b"http://a.test/b").map(|read| read.uri), Ok(b"/b".to_vec()));
        assert_eq!(responder(b"https://a.test/"), Err(BadResponder::Prefix));
        assert_eq!(responder(b"http://"), Err(BadResponder::Prefix));
        assert_eq!(responder(b"http://a:x"), Err(BadResponder::Address("invalid port", "a:x".into())));
    }
}
