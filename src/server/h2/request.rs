//! A request made of the fields of an HTTP/2 stream, with nginx's checks in nginx's order. RFC 9113, section 8.3.

use std::time::Instant;

use super::super::exchange::{Received, Refusal};
use super::shared::Head as StreamHead;
use crate::http::uri::{self, Slashes};
use crate::http::{
    Choice, Connection, Head, HeaderId, Headers, Incoming, Local, Method, RequestBody, Server, Version, VirtualServers,
    host,
};

/// A request, and what is wrong with it.
pub(super) struct Read {
    pub(super) received: Received,
    /// RFC 9113 calls it malformed: its stream is reset.
    pub(super) is_malformed: bool,
}

/// Makes a request of what came on a stream; `body` gets the length that was said.
pub(super) fn read(
    local: &Local,
    connection: &Connection,
    head: &StreamHead,
    body: impl FnOnce(Option<u64>) -> RequestBody,
) -> Read {
    let listen = &local.cycle.listens[connection.listen.get()];
    let servers = listen.virtual_servers(connection.local.map(|local| local.ip()));
    let fallback = Choice { server: servers.fallback(connection), regex: None };
    let mut reading = Reading {
        local,
        servers,
        choice: fallback,
        stream: head,
        method: b"",
        scheme: b"",
        path: b"",
        authority: None,
        host: Vec::new(),
        uri: Vec::new(),
        args: Vec::new(),
        headers: Headers::with_capacity(16, head.fields.size()),
        cookies: Vec::new(),
        ignored: Vec::new(),
        has_fields: false,
        length: None,
        is_whole: false,
    };
    let fault = reading.fields().and_then(|()| reading.finish()).err();
    let body = if head.ends { RequestBody::none() } else { body(reading.length) };
    let is_malformed = fault.as_ref().is_some_and(|fault| fault.is_malformed);
    let refusal = fault.map(|fault| fault.refusal);
    Read { received: reading.received(body, refusal), is_malformed }
}

struct Fault {
    refusal: Refusal,
    is_malformed: bool,
}

/// nginx's sentence about what HTTP allows and nginx does not.
fn bad(parts: &[&[u8]]) -> Fault {
    Fault { refusal: Refusal { status: 400, sentence: parts.concat() }, is_malformed: false }
}

/// The same about what RFC 9113 calls malformed.
fn malformed(parts: &[&[u8]]) -> Fault {
    Fault { is_malformed: true, ..bad(parts) }
}

/// What stood in the fields so far.
struct Reading<'a> {
    local: &'a Local,
    servers: &'a VirtualServers,
    choice: Choice,
    stream: &'a StreamHead,
    method: &'a [u8],
    scheme: &'a [u8],
    path: &'a [u8],
    authority: Option<&'a [u8]>,
    /// The host, checked and in lower case.
    host: Vec<u8>,
    uri: Vec<u8>,
    args: Vec<u8>,
    headers: Headers,
    cookies: Vec<&'a [u8]>,
    /// Names of fields that are ignored.
    ignored: Vec<Vec<u8>>,
    /// A field came that is not of the pseudo-header.
    has_fields: bool,
    length: Option<u64>,
    /// All that makes a request line was there.
    is_whole: bool,
}

/// Fields of HTTP/1's connections (RFC 9113, section 8.2.2).
const OF_CONNECTIONS: [&[u8]; 5] =
    [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"];

impl<'a> Reading<'a> {
    fn server(&self) -> &'a Server {
        self.local.cycle.server(self.choice.server)
    }

    fn fields(&mut self) -> Result<(), Fault> {
        let stream = self.stream;
        for (name, value) in stream.fields.iter() {
            let is_odd = self.check(name, value)?;
            match name.strip_prefix(b":") {
                Some(name) => self.pseudo(name, value)?,
                None if is_odd && self.server().ignore_invalid_headers => self.ignored.push(name.to_vec()),
                None => self.field(name, value)?,
            }
        }
        Ok(())
    }

    /// Whether a name has bytes that nginx does not like.
    fn check(&self, name: &[u8], value: &[u8]) -> Result<bool, Fault> {
        let underscores = self.server().underscores_in_headers;
        let mut is_odd = false;
        for byte in &name[usize::from(name[0] == b':')..] {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' => {}
                b'_' if underscores => {}
                0..=b' ' | 0x7f | b':' | b'A'..=b'Z' => {
                    return Err(malformed(&[b"client sent invalid header name: \"", name, b"\""]));
                }
                _ => is_odd = true,
            }
        }
        if memchr::memchr3(0, b'\n', b'\r', value).is_some() {
            let parts = [b"client sent header \"", name, b"\" with invalid value: \"", value, b"\""];
            return Err(malformed(&parts));
        }
        Ok(is_odd)
    }

    fn pseudo(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Fault> {
        if self.has_fields {
            return Err(malformed(&[b"client sent pseudo-header \":", name, b"\" after other headers"]));
        }
        let (known, quote): (&[u8], &[u8]) = match name {
            b"path" => (self.path, b""),
            b"method" => (self.method, b""),
            b"scheme" => (self.scheme, b""),
            b"authority" => (self.authority.unwrap_or_default(), b"\""),
            _ => return Err(malformed(&[b"client sent unknown pseudo-header \":", name, b"\""])),
        };
        if !known.is_empty() || name == b"authority" && self.authority.is_some() {
            return Err(malformed(&[b"client sent duplicate ", quote, b":", name, quote, b" header"]));
        }
        if name == b"authority" {
            return self.authority(value);
        }
        if value.is_empty() {
            return Err(malformed(&[b"client sent empty :", name, b" header"]));
        }
        match name {
            b"path" => self.path(value),
            b"method" => self.method(value),
            _ => self.scheme(value),
        }
    }

    fn path(&mut self, value: &'a [u8]) -> Result<(), Fault> {
        let is_plain = value[0] == b'/' && !value.iter().any(|byte| matches!(byte, 0..=b' ' | 0x7f));
        if !is_plain {
            return Err(bad(&[b"client sent invalid :path header: \"", value, b"\""]));
        }
        self.path = value;
        let slashes = if self.server().merge_slashes { Slashes::Merge } else { Slashes::Keep };
        match uri::normalise(value, slashes, &mut self.uri) {
            Ok(found) => self.args = found.args.map(|range| value[range].to_vec()).unwrap_or_default(),
            Err(_) => return Err(bad(&[b"client sent invalid request"])),
        }
        Ok(())
    }

    fn method(&mut self, value: &'a [u8]) -> Result<(), Fault> {
        self.method = value;
        match value.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'_' | b'-')) {
            true => Ok(()),
            false => Err(bad(&[b"client sent invalid method: \"", value, b"\""])),
        }
    }

    fn scheme(&mut self, value: &'a [u8]) -> Result<(), Fault> {
        self.scheme = value;
        let fits = |(at, byte): (usize, &u8)| {
            byte.is_ascii_alphabetic() || at > 0 && matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.')
        };
        match value.iter().enumerate().all(fits) {
            true => Ok(()),
            false => Err(bad(&[b"client sent invalid :scheme header: \"", value, b"\""])),
        }
    }

    fn authority(&mut self, value: &'a [u8]) -> Result<(), Fault> {
        self.authority = Some(value);
        if value.is_empty() || host::append_valid(value, &mut self.host).is_none() {
            self.host.clear();
            return Err(bad(&[b"client sent invalid \":authority\" header"]));
        }
        self.choice = self.servers.choose(&self.host);
        Ok(())
    }

    fn field(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Fault> {
        self.has_fields = true;
        if name == b"cookie" {
            self.cookies.push(value);
            return Ok(());
        }
        if OF_CONNECTIONS.contains(&name) || name == b"te" && !value.eq_ignore_ascii_case(b"trailers") {
            return Err(malformed(&[b"client sent \"", name, b"\" header, which HTTP/2 has not"]));
        }
        let id = HeaderId::of(name);
        if HeaderId::UNIQUE & id.bit() != 0
            && let Some(previous) = self.headers.get(id)
        {
            let what: &[u8] = if id == HeaderId::Host { b"host header" } else { b"header line" };
            let this = [b"client sent duplicate ", what, b": \"", name, b": ", value];
            let before = [b"\", previous value: \"", name, b": ", previous, b"\""];
            return Err(bad(&[this.concat(), before.concat()].each_ref().map(|part| &part[..])));
        }
        self.headers.push(name, value);
        if id == HeaderId::Host { self.host_field(value) } else { Ok(()) }
    }

    fn host_field(&mut self, value: &[u8]) -> Result<(), Fault> {
        let mut host = Vec::new();
        if value.is_empty() || host::append_valid(value, &mut host).is_none() {
            return Err(bad(&[b"client sent invalid host header"]));
        }
        if self.host.is_empty() {
            self.host = host;
            self.choice = self.servers.choose(&self.host);
        }
        Ok(())
    }

    /// What nginx checks when all fields are there.
    fn finish(&mut self) -> Result<(), Fault> {
        if !self.server().http2 && !self.servers.http2_address {
            let what = b"client attempted to request the server name for which the negotiated protocol is disabled";
            return Err(Fault { refusal: Refusal { status: 421, sentence: what.to_vec() }, is_malformed: false });
        }
        for (value, name) in [(self.method, &b"method"[..]), (self.scheme, b"scheme"), (self.path, b"path")] {
            if value.is_empty() {
                return Err(malformed(&[b"client sent no :", name, b" header"]));
            }
        }
        self.is_whole = true;
        if !self.cookies.is_empty() {
            self.headers.push(b"cookie", &self.cookies.join(&b"; "[..]));
        }
        if self.host.is_empty() {
            return Err(bad(&[b"client sent neither \":authority\" nor \"Host\" header"]));
        }
        if let Some(authority) = self.authority {
            match self.headers.get(HeaderId::Host) {
                Some(host) if host != authority => {
                    let what = b"client sent \":authority\" and \"Host\" headers with different values";
                    return Err(bad(&[what]));
                }
                Some(_) => {}
                None => self.headers.push_id(HeaderId::Host, authority),
            }
        }
        self.length()?;
        match Method::of(self.method) {
            Method::Connect => Err(not_allowed(b"client sent CONNECT method")),
            Method::Trace => Err(not_allowed(b"client sent TRACE method")),
            _ => Ok(()),
        }
    }

    fn length(&mut self) -> Result<(), Fault> {
        let Some(value) = self.headers.get(HeaderId::ContentLength) else { return Ok(()) };
        let digits = Some(value).filter(|value| !value.is_empty() && value.iter().all(u8::is_ascii_digit));
        let length = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<i64>().ok());
        let length = length.ok_or_else(|| malformed(&[b"client sent invalid \"Content-Length\" header"]))?;
        if length > 0 && self.stream.ends {
            return Err(malformed(&[b"client prematurely closed stream"]));
        }
        self.length = Some(length.cast_unsigned());
        Ok(())
    }

    fn received(self, body: RequestBody, refusal: Option<Refusal>) -> Received {
        const PROTOCOL: &[u8] = b"HTTP/2.0";
        let line = [self.method, b" ", self.path, b" ", PROTOCOL].concat();
        let (length, method) = (line.len(), self.method.len());
        let target = method + 1..method + 1 + self.path.len();
        let head = Head::of_line(line, 0..method, target, length - PROTOCOL.len()..length);
        let mut head = if self.is_whole { head } else { head.broken() };
        head.method = Method::of(self.method);
        head.version = Version::HTTP_2;
        head.valid_target = true;
        head.length = self.stream.fields.length;
        let incoming = Incoming {
            head,
            headers: self.headers,
            host: self.host,
            uri: self.uri,
            args: self.args,
            pipelined: false,
            server: self.choice.server,
            body,
            client: None,
            keep_alive: true,
            start: Instant::now(),
            counted: None,
        };
        Received { incoming, choice: self.choice, refusal, ignored: self.ignored }
    }
}

fn not_allowed(sentence: &[u8]) -> Fault {
    Fault { refusal: Refusal { status: 405, sentence: sentence.to_vec() }, is_malformed: false }
}
