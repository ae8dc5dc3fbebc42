//! A client's first message, read far enough to choose a server. RFC 8446, section 4.1.2; RFC 6066, section 3.

/// What the first bytes of a connection are.
#[derive(Debug, PartialEq, Eq)]
pub enum Hello {
    /// Not all of it is there.
    Partial,
    /// No TLS at all: an HTTP request, mostly.
    Plain,
    /// A greeting, or something that is about to be refused as none.
    Client(ClientHello),
}

/// What a client says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ClientHello {
    /// The name of the server that it wants, as sent; empty where it named none.
    pub server_name: Vec<u8>,
    /// Cipher suites by number, those of RFC 8701 that mean nothing left in.
    pub ciphers: Vec<u16>,
    /// Groups for the key exchange by number.
    pub groups: Vec<u16>,
    /// It speaks TLS 1.3.
    pub tls13: bool,
    /// It wants to hear whether our certificate is still good.
    pub wants_status: bool,
}

/// The most that is waited for, in bytes: no message of a handshake is longer in rustls.
const LONGEST: usize = 66_000;

const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
const SERVER_NAME: u16 = 0;
const STATUS_REQUEST: u16 = 5;
const SUPPORTED_GROUPS: u16 = 10;
const SUPPORTED_VERSIONS: u16 = 43;

/// RFC 7507: the client was refused before when it offered more.
const FALLBACK: u16 = 0x5600;

const TLS13: u16 = 0x0304;

impl ClientHello {
    /// Whether it offers less than it could, having been refused before.
    pub fn falls_back(&self) -> bool {
        !self.tls13 && self.ciphers.contains(&FALLBACK)
    }
}

/// Reads the first bytes of a connection as nginx does: the first one tells what it is.
pub fn read(bytes: &[u8]) -> Hello {
    match bytes.first() {
        None => return Hello::Partial,
        Some(first) if *first != HANDSHAKE && first & 0x80 == 0 => return Hello::Plain,
        Some(_) => {}
    }
    match message(bytes) {
        Err(Short) if bytes.len() < LONGEST => Hello::Partial,
        Ok(body) => Hello::Client(parse(&body).unwrap_or_default()),
        // What is no greeting is refused by those who read all of it.
        _ => Hello::Client(ClientHello::default()),
    }
}

struct Short;

/// The message that the records hold, without its type and length. Empty where it is another one.
fn message(mut bytes: &[u8]) -> Result<Vec<u8>, Short> {
    let mut whole = Vec::new();
    loop {
        let (kind, length) = match bytes {
            [kind, _, _, high, low, ..] => (*kind, usize::from(u16::from_be_bytes([*high, *low]))),
            _ => return Err(Short),
        };
        if kind != HANDSHAKE || length == 0 {
            return Ok(Vec::new());
        }
        whole.extend_from_slice(bytes.get(5..5 + length).ok_or(Short)?);
        bytes = &bytes[5 + length..];
        if let [kind, a, b, c, ..] = whole[..] {
            let length = u32::from_be_bytes([0, a, b, c]) as usize;
            if kind != CLIENT_HELLO || length > LONGEST {
                return Ok(Vec::new());
            }
            if let Some(body) = whole.get(4..4 + length) {
                return Ok(body.to_vec());
            }
        }
    }
}

fn parse(body: &[u8]) -> Option<ClientHello> {
    let mut hello = ClientHello::default();
    let mut input = Input(body.get(34..)?);
    input.list8()?;
    hello.ciphers = numbers(input.list16()?);
    input.list8()?;
    let mut extensions = Input(input.list16().unwrap_or_default());
    while let Some(kind) = extensions.u16() {
        let data = extensions.list16()?;
        match kind {
            SERVER_NAME => hello.server_name = host_name(data).unwrap_or_default(),
            SUPPORTED_VERSIONS => hello.tls13 = numbers(Input(data).list8()?).contains(&TLS13),
            STATUS_REQUEST => hello.wants_status = true,
            SUPPORTED_GROUPS => hello.groups = numbers(Input(data).list16()?),
            _ => {}
        }
    }
    Some(hello)
}

/// The first name of the list that is a host's.
fn host_name(data: &[u8]) -> Option<Vec<u8>> {
    let mut names = Input(Input(data).list16()?);
    loop {
        let kind = names.u8()?;
        let name = names.list16()?;
        if kind == 0 {
            return Some(name.to_vec());
        }
    }
}

fn numbers(bytes: &[u8]) -> Vec<u16> {
    bytes.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect()
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u16(&mut self) -> Option<u16> {
        self.take(2).map(|bytes| u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    fn list8(&mut self) -> Option<&'a [u8]> {
        let count = self.u8()?;
        self.take(usize::from(count))
    }

    fn list16(&mut self) -> Option<&'a [u8]> {
        let count = self.u16()?;
        self.take(usize::from(count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn greeting(extensions: &[u8]) -> Vec<u8> {
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 4, 0x13, 0x01, 0xc0, 0x2f, 1, 0]);
        body.extend(u16::try_from(extensions.len()).unwrap().to_be_bytes());
        body.extend(extensions);
        let mut message = vec![1, 0, 0, u8::try_from(body.len()).unwrap()];
        message.extend(body);
        message
    }

    fn record(part: &[u8]) -> Vec<u8> {
        let mut record = vec![22, 3, 1, 0, u8::try_from(part.len()).unwrap()];
        record.extend(part);
        record
    }

    const NAMED: &[u8] = &[0, 0, 0, 8, 0, 6, 0, 0, 3, b'a', b'.', b'b', 0, 10, 0, 4, 0, 2, 0, 29];

    #[test]
    fn reads_name_ciphers_and_groups() {
        let expected = ClientHello {
            server_name: b"a.b".to_vec(),
            ciphers: vec![0x1301, 0xc02f],
            groups: vec![29],
            ..ClientHello::default()
        };
        assert_eq!(read(&record(&greeting(NAMED))), Hello::Client(expected));
    }

    #[test]
    fn waits_for_all_of_it_over_several_records() {
        let message = greeting(NAMED);
        let bytes = [record(&message[..20]), record(&message[20..])].concat();
        for length in 0..bytes.len() {
            assert_eq!(read(&bytes[..length]), Hello::Partial, "{length}");
        }
        assert!(matches!(read(&bytes), Hello::Client(hello) if hello.server_name == b"a.b"));
    }

    #[test]
    fn knows_plain_http_and_nonsense() {
        assert_eq!(read(b"GET / HTTP/1.0\r\n"), Hello::Plain);
        assert_eq!(read(&[22, 3, 1, 0, 0]), Hello::Client(ClientHello::default()));
        assert_eq!(read(&record(&[2, 0, 0, 1, 0])), Hello::Client(ClientHello::default()));
    }
}
