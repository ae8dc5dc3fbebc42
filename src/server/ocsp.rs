//! Asks responders whether certificates are still good: clients' ones before their first request, our own while clients
//! come. nginx's little client for that: one request in HTTP/1.0 by `GET`, RFC 6960, appendix A.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http::{Connection, Local, ServerId, VerifyFault, base64};
use crate::log::Level;
use crate::modules::resolver::NameService;
use crate::tls::{Asked, Belief, Ocsp, Responder, Staple, Status, Trust, unix_now as now};
use crate::upstream::{BadResponder, responder};

const fn fault(text: &'static str) -> VerifyFault {
    VerifyFault { code: 0, text }
}

const FAILED: VerifyFault = fault("certificate status request failed");
const REVOKED: VerifyFault = fault("certificate revoked");
const UNKNOWN: VerifyFault = fault("certificate status unknown");

/// Asks after the certificates of a client, which are trusted otherwise; why it is refused, where it is.
pub(super) async fn refusal(
    (local, connection): (&Rc<Local>, &Connection),
    server: ServerId,
    (ocsp, trust): (&Ocsp, &Trust),
    presented: &[CertificateDer<'_>],
) -> Option<VerifyFault> {
    let chain = trust.chain(presented);
    let most = if ocsp.leaf { 1 } else { usize::MAX };
    for at in 0..chain.len().saturating_sub(1).min(most) {
        let Some(asked) = Asked::of(&chain[at..]) else { return Some(FAILED) };
        let key = asked.key();
        let known = ocsp.cache.as_ref().and_then(|cache| cache.find(&key, now()));
        let status = match known {
            Some(status) => status,
            None => {
                let asking = Asking { local, number: Some(connection.number), server, certificate: "" };
                let Ok((status, valid)) = asking.client(ocsp, &asked, trust).await else { return Some(FAILED) };
                if let Some(cache) = &ocsp.cache {
                    cache.keep(key, now(), (status, valid));
                }
                status
            }
        };
        match status {
            Status::Good => {}
            Status::Revoked => return Some(REVOKED),
            Status::Unknown => return Some(UNKNOWN),
        }
    }
    None
}

/// Asks after our own certificate, where it is time for that.
pub(super) fn refresh(local: &Rc<Local>, server: ServerId, staple: &Arc<Staple>) {
    if !staple.begin(now()) {
        return;
    }
    let (local, staple) = (local.clone(), staple.clone());
    tokio::task::spawn_local(async move {
        let asking = Asking { local: &local, number: None, server, certificate: &staple.name };
        let answer = asking.own(&staple).await.ok();
        staple.end(now(), answer);
    });
}

/// The log knows why.
struct Said;

/// One question.
struct Asking<'a> {
    local: &'a Rc<Local>,
    number: Option<u64>,
    server: ServerId,
    /// The name of our own certificate.
    certificate: &'a str,
}

/// How long a responder may take over our own certificate.
const PATIENCE: Duration = Duration::from_secs(60);

/// The longest answer, in bytes.
const LONGEST: u64 = 64 << 10;

impl Asking<'_> {
    async fn client(&self, ocsp: &Ocsp, asked: &Asked<'_>, trust: &Trust) -> Result<(Status, Option<i64>), Said> {
        let named;
        let responder = match &ocsp.responder {
            Some(responder) => responder,
            None => {
                named = self.named(asked)?;
                &named
            }
        };
        let trust = trust.for_responders();
        let answer = self.ask(responder, &asked.request()).await?;
        asked.read(&answer, Belief::Issuer(&trust), now()).map_err(|why| self.say(responder, None, why))
    }

    async fn own(&self, staple: &Staple) -> Result<(Vec<u8>, Option<i64>), Said> {
        let asked = Asked::of(&staple.chain).ok_or(Said)?;
        let belief = staple.trust.as_deref().map_or(Belief::Anybody, Belief::Chain);
        let request = asked.request();
        let asking = self.ask(&staple.responder, &request);
        let answer = match tokio::time::timeout(PATIENCE, asking).await {
            Ok(answer) => answer?,
            Err(_) => {
                let errno = libc::ETIMEDOUT;
                let what = format!("OCSP responder timed out ({errno}: {})", crate::log::describe(errno));
                return Err(self.say(&staple.responder, None, what));
            }
        };
        match asked.read(&answer, belief, now()) {
            Ok((Status::Good, valid)) => Ok((answer, valid)),
            Ok((status, _)) => {
                let what = format!("certificate status \"{status}\" in the OCSP response");
                Err(self.say(&staple.responder, None, what))
            }
            Err(why) => Err(self.say(&staple.responder, None, why)),
        }
    }

    /// The responder that a certificate names.
    fn named(&self, asked: &Asked<'_>) -> Result<Responder, Said> {
        let nobody = Responder { host: Vec::new(), port: 0, uri: Vec::new(), addresses: Vec::new() };
        let Some(url) = asked.certificate.uses.ocsp.as_deref() else {
            return Err(self.say(&nobody, None, "no OCSP responder URL in certificate"));
        };
        responder(url).map_err(|bad| {
            let what = match bad {
                BadResponder::Prefix => format!("invalid URL prefix in OCSP responder \"{}\"", url.escape_ascii()),
                BadResponder::Address(why, address) => format!("{why} in OCSP responder \"{address}\""),
            };
            self.say(&nobody, None, format!("{what} in certificate"))
        })
    }

    /// Sends a question, and reads the answer.
    async fn ask(&self, responder: &Responder, request: &[u8]) -> Result<Vec<u8>, Said> {
        let request = http_request(responder, request);
        for address in self.addresses(responder).await? {
            match exchange(address, &request).await {
                Ok(answer) => match read_answer(&answer) {
                    Ok(body) => return Ok(body.to_vec()),
                    Err(Wrong::Status) => return Err(Said),
                    Err(Wrong::Answer(why)) => _ = self.say(responder, Some(address), why),
                },
                Err((what, error)) => {
                    let errno = error.raw_os_error().unwrap_or(libc::EIO);
                    let why = format!("{what}() failed ({errno}: {})", crate::log::describe(errno));
                    self.say(responder, Some(address), why);
                }
            }
        }
        Err(Said)
    }

    async fn addresses(&self, responder: &Responder) -> Result<Vec<SocketAddr>, Said> {
        let literal = std::str::from_utf8(&responder.host).ok().map(|host| host.trim_matches(['[', ']']));
        if let Some(ip) = literal.and_then(|host| host.parse().ok()) {
            return Ok(vec![SocketAddr::new(ip, responder.port)]);
        }
        let name = String::from_utf8_lossy(&responder.host);
        let base = self.local.cycle.server(self.server).base;
        let Some(names) = self.local.cycle.location(base).extensions.get::<NameService>() else {
            let what = format!("no resolver defined to resolve {name}");
            return match responder.addresses.is_empty() {
                true => Err(self.say(responder, None, what)),
                false => {
                    self.say_at(Level::Warn, responder, None, what);
                    Ok(responder.addresses.clone())
                }
            };
        };
        let resolved = names.resolver.resolve(self.local, &responder.host, names.timeout).await;
        let resolved = resolved.map_err(|fault| self.say(responder, None, format!("{name} {fault}")))?;
        Ok(resolved.addresses.iter().map(|ip| SocketAddr::new(*ip, responder.port)).collect())
    }

    fn say(&self, responder: &Responder, peer: Option<SocketAddr>, what: impl fmt::Display) -> Said {
        self.say_at(Level::Error, responder, peer, what);
        Said
    }

    fn say_at(&self, level: Level, responder: &Responder, peer: Option<SocketAddr>, what: impl fmt::Display) {
        let base = self.local.cycle.server(self.server).base;
        self.local.cycle.location(base).core.error_log.write(level, self.number, |line| {
            line.put(what).put(" while requesting certificate status");
            if !responder.host.is_empty() {
                line.put(", responder: ").bytes(&responder.host);
            }
            if let Some(peer) = peer {
                line.put(", peer: ").put(peer);
            }
            if !self.certificate.is_empty() {
                line.put(", certificate: \"").put(self.certificate).put('"');
            }
        });
    }
}

fn http_request(responder: &Responder, question: &[u8]) -> Vec<u8> {
    let mut out = [b"GET ", &responder.uri[..]].concat();
    if !responder.uri.ends_with(b"/") {
        out.push(b'/');
    }
    let mut text = Vec::new();
    base64::append(question, &mut text);
    for byte in text {
        match byte {
            b'+' | b'/' | b'=' => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.extend_from_slice(b" HTTP/1.0\r\nHost: ");
    out.extend_from_slice(&responder.host);
    out.extend_from_slice(b"\r\n\r\n");
    out
}

/// One request and its whole answer.
async fn exchange(address: SocketAddr, request: &[u8]) -> Result<Vec<u8>, (&'static str, io::Error)> {
    let mut stream = TcpStream::connect(address).await.map_err(|error| ("connect", error))?;
    stream.write_all(request).await.map_err(|error| ("send", error))?;
    let mut answer = Vec::new();
    match stream.take(LONGEST).read_to_end(&mut answer).await {
        // A responder may not have cared to read all of the request; nginx looks at what came, too.
        Err(error) if answer.is_empty() => Err(("recv", error)),
        _ => Ok(answer),
    }
}

/// What is wrong with an answer of HTTP.
#[derive(Debug, PartialEq, Eq)]
enum Wrong {
    /// It is none: nginx says nothing of that.
    Status,
    Answer(String),
}

fn read_answer(answer: &[u8]) -> Result<&[u8], Wrong> {
    let invalid = || Wrong::Answer("OCSP responder sent invalid response".to_owned());
    let mut rest = answer;
    let mut line = || {
        let end = memchr::memchr(b'\n', rest)?;
        let line = &rest[..end];
        rest = &rest[end + 1..];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    };
    let cut = || Wrong::Answer("OCSP responder prematurely closed connection".to_owned());
    let status = line().ok_or_else(cut)?.strip_prefix(b"HTTP/").ok_or_else(invalid)?;
    let code = status.split(|byte| *byte == b' ').nth(1).ok_or_else(invalid)?;
    loop {
        let line = line().ok_or_else(cut)?;
        if line.is_empty() {
            break;
        }
        let colon = memchr::memchr(b':', line).ok_or_else(invalid)?;
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"Content-Type") && !value.eq_ignore_ascii_case(b"application/ocsp-response") {
            let value = String::from_utf8_lossy(value);
            return Err(Wrong::Answer(format!("OCSP responder sent invalid \"Content-Type\" header: \"{value}\"")));
        }
    }
    if code == b"200" { Ok(rest) } else { Err(Wrong::Status) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asks_as_nginx_does() {
        let responder = responder(b"HTTP://a.test:81/ocsp").unwrap();
        let expected = b"GET /ocsp/%2B%2F%2BA HTTP/1.0\r\nHost: a.test\r\n\r\n";
        assert_eq!(http_request(&responder, &[0xfb, 0xff, 0x80]), expected);
        assert_eq!(responder.port, 81);
    }

    #[test]
    fn reads_answers() {
        let typed = b"HTTP/1.0 200 OK\nContent-Type: application/ocsp-response\n\nbody";
        assert_eq!(read_answer(typed), Ok(&b"body"[..]));
        assert_eq!(read_answer(b"HTTP/1.1 404 Not Found\r\n\r\n"), Err(Wrong::Status));
        for (answer, expected) in [
            (&b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"[..], "\"Content-Type\" header: \"text/html\""),
            (b"HTTP/1.1 200 OK\r\n", "prematurely closed connection"),
            (b"no\n\n", "invalid response"),
        ] {
            let Err(Wrong::Answer(why)) = read_answer(answer) else { panic!("{answer:?}") };
            assert!(why.ends_with(expected), "{why}");
        }
    }
}
