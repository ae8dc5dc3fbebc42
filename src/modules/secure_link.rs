//! `secure_link`: links that cannot be guessed, and that may expire. <https://nginx.org/en/docs/http/ngx_http_secure_link_module.html>

use std::cell::RefCell;

use bytes::Bytes;

use crate::conf::{Command, Inherit, LocationBuilder, Module};
use crate::diag::Diagnostic;
use crate::http::escape::hex_value;
use crate::http::md5::md5;
use crate::http::{Request, Script, VariableDef, base64, date};

/// `ngx_http_secure_link_module`.
pub struct SecureLink;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    link: Option<Script>,
    hashed: Option<Script>,
    secret: Option<Bytes>,
    mixed: bool,
}

impl Module for SecureLink {
    type Conf = Conf;
    const NAME: &'static str = "http_secure_link";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::script("secure_link", |c| &mut c.link),
        Command::script("secure_link_md5", |c| &mut c.hashed),
        Command::text("secure_link_secret", |c| &mut c.secret),
    ];
    const VARIABLES: &'static [VariableDef] =
        &[VariableDef::new("secure_link", link).cached(), VariableDef::new("secure_link_expires", expires).cached()];

    fn merge(parent: &Conf, conf: &mut Conf) {
        if conf.secret.is_some() {
            conf.mixed = conf.link.is_some() || conf.hashed.is_some();
            return;
        }
        conf.link.inherit(&parent.link);
        conf.hashed.inherit(&parent.hashed);
        if conf.link.is_none() && conf.hashed.is_none() {
            conf.secret.inherit(&parent.secret);
        }
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if conf.mixed {
            let message = "\"secure_link_secret\" cannot be mixed with \"secure_link\" and \"secure_link_md5\"";
            let (at, end) = (location.ctx.place(location.node), location.ctx.end_of_http());
            location.complain(Diagnostic::error("mixed-secure-link", message).at(at).nginx_at(end));
        }
        let check = match (&conf.secret, &conf.link, &conf.hashed) {
            (Some(secret), ..) => Check::Secret(secret.clone()),
            (None, Some(link), Some(hashed)) => Check::Hash { link: link.clone(), hashed: hashed.clone() },
            _ => return,
        };
        location.extensions.insert(check);
    }
}

/// How links are checked in a location.
enum Check {
    /// The value that the client sent, with or without a time, and what its hash is made of.
    Hash { link: Script, hashed: Script },
    /// The hash stands in the path, and is of what stands behind it and a secret.
    Secret(Bytes),
}

/// Until when the link is good, as the client sent it.
#[derive(Default)]
struct Expires(RefCell<Option<Bytes>>);

/// `$secure_link`
fn link(r: &Request, out: &mut Vec<u8>) -> bool {
    let value = match r.location().extensions.get::<Check>() {
        Some(Check::Hash { link, hashed }) => check_hash(r, link, hashed),
        Some(Check::Secret(secret)) => check_path(r.head.target(), secret),
        None => None,
    };
    out.extend_from_slice(value.as_deref().unwrap_or_default());
    value.is_some()
}

fn check_hash(r: &Request, link: &Script, hashed: &Script) -> Option<Bytes> {
    let link = link.eval(r);
    let comma = memchr::memchr(b',', &link);
    let mut expired = false;
    if let Some(comma) = comma {
        let text = link.slice(comma + 1..);
        let time = decimal(&text).filter(|time| *time > 0)?;
        expired = time < date::now();
        *r.context::<Expires>().0.borrow_mut() = Some(text);
    }
    let sent = Some(&link[..comma.unwrap_or(link.len())]).filter(|sent| sent.len() <= 24)?;
    let sent = base64::decode_url(sent)?;
    let same = sent == md5(&[&hashed.eval(r)]);
    same.then(|| Bytes::from_static(if expired { b"0" } else { b"1" }))
}

fn decimal(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?.parse().ok()
}

/// `/prefix/HASH/rest`: what remains is the rest.
fn check_path(target: &[u8], secret: &[u8]) -> Option<Bytes> {
    let start = 2 + memchr::memchr(b'/', target.get(1..)?)?;
    let end = start + memchr::memchr(b'/', &target[start..])?;
    let (sent, rest) = (&target[start..end], &target[end + 1..]);
    if sent.len() != 32 || rest.is_empty() {
        return None;
    }
    let digest = md5(&[rest, secret]);
    let byte = |pair: &[u8]| Some(hex_value(pair[0])? << 4 | hex_value(pair[1])?);
    sent.chunks(2)
        .zip(digest)
        .all(|(pair, expected)| byte(pair) == Some(expected))
        .then(|| Bytes::copy_from_slice(rest))
}

/// `$secure_link_expires`
fn expires(r: &Request, out: &mut Vec<u8>) -> bool {
    let expires = r.context::<Expires>();
    let expires = expires.0.borrow();
    out.extend_from_slice(expires.as_deref().unwrap_or_default());
    expires.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checks_paths() {
        let check = |path: &str| check_path(&Bytes::copy_from_slice(path.as_bytes()), b"secret");
        let hash: String = md5(&[b"file?x", b"secret"]).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(check(&format!("/p/{hash}/file?x")).as_deref(), Some(&b"file?x"[..]));
        assert_eq!(check(&format!("/p/{}/file?x", hash.to_uppercase())).as_deref(), Some(&b"file?x"[..]));
        for wrong in [
            "/",
            "/p",
            "/p/",
            "/p/0/file",
            &format!("/p/{hash}/"),
            &format!("/p/{hash}/file"),
            &format!("/{hash}/file?x"),
        ] {
            assert_eq!(check(wrong), None, "{wrong}");
        }
    }
}
