//! The head that a proxy puts before a connection to say who its client is: the PROXY protocol, versions 1 and 2.
//! <https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt>

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

/// Who the client is, and whom it meant to reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyHeader {
    /// The client's address as text; version 1 is not looked into further than that it holds letters of an address.
    pub source: Bytes,
    /// The address that the client connected to.
    pub destination: Bytes,
    /// The client's port.
    pub source_port: u16,
    /// The port that the client connected to.
    pub destination_port: u16,
    /// What version 2 says besides, unread.
    tlvs: Bytes,
}

/// Why a head is refused, in nginx's words; `None` where nginx says nothing.
pub type Refusal = Option<Vec<u8>>;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Signature, version and command, family and transport, length.
const V2_HEAD: usize = 16;

/// Reads the head at the beginning of what came in one piece. Gives its length, and what it says, if anything.
///
/// # Errors
/// Why the connection has to be closed.
pub fn parse(bytes: &[u8]) -> Result<(usize, Option<ProxyHeader>), Refusal> {
    if bytes.len() >= V2_HEAD && bytes.starts_with(SIGNATURE) {
        return parse_v2(bytes);
    }
    parse_v1(bytes).ok_or_else(|| {
        let end = memchr::memchr2(b'\r', b'\n', bytes).unwrap_or(bytes.len());
        Some([b"broken header: \"", &bytes[..end], b"\""].concat())
    })
}

fn parse_v1(bytes: &[u8]) -> Option<(usize, Option<ProxyHeader>)> {
    let rest = bytes.strip_prefix(b"PROXY ")?;
    if let Some(rest) = rest.strip_prefix(b"UNKNOWN") {
        let end = memchr::memmem::find(rest, b"\r\n")?;
        return Some((bytes.len() - rest.len() + end + 2, None));
    }
    let rest = rest.strip_prefix(b"TCP4 ").or_else(|| rest.strip_prefix(b"TCP6 "))?;
    let (source, rest) = address(rest)?;
    let (destination, rest) = address(rest)?;
    let (source_port, rest) = port(rest, b' ')?;
    let (destination_port, rest) = port(rest, b'\r')?;
    let rest = rest.strip_prefix(b"\n")?;
    let header = ProxyHeader { source, destination, source_port, destination_port, tlvs: Bytes::new() };
    Some((bytes.len() - rest.len(), Some(header)))
}

fn address(text: &[u8]) -> Option<(Bytes, &[u8])> {
    let end = text.iter().position(|byte| !byte.is_ascii_hexdigit() && !b".:".contains(byte))?;
    (text[end] == b' ').then(|| (Bytes::copy_from_slice(&text[..end]), &text[end + 1..]))
}

fn port(text: &[u8], end: u8) -> Option<(u16, &[u8])> {
    let length = memchr::memchr(end, text)?;
    let digits = &text[..length];
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number = is_number.then(|| std::str::from_utf8(digits).ok()?.parse().ok())??;
    Some((number, &text[length + 1..]))
}

fn parse_v2(bytes: &[u8]) -> Result<(usize, Option<ProxyHeader>), Refusal> {
    let [version_command, family_transport, high, low] = [bytes[12], bytes[13], bytes[14], bytes[15]];
    if version_command >> 4 != 2 {
        return Err(Some(format!("unknown PROXY protocol version: {}", version_command >> 4).into_bytes()));
    }
    let end = V2_HEAD + usize::from(u16::from_be_bytes([high, low]));
    let said = bytes.get(V2_HEAD..end).ok_or_else(|| Some(b"header is too large".to_vec()))?;
    // Only PROXY of STREAM says who the client is.
    if version_command & 15 != 1 || family_transport & 15 != 1 {
        return Ok((end, None));
    }
    let header = match family_transport >> 4 {
        1 => addresses::<4>(said, |octets| Ipv4Addr::from(octets).into()),
        2 => addresses::<16>(said, |octets| Ipv6Addr::from(octets).into()),
        _ => return Ok((end, None)),
    };
    Ok((end, Some(header.ok_or(None)?)))
}

fn addresses<const N: usize>(said: &[u8], ip: fn([u8; N]) -> IpAddr) -> Option<ProxyHeader> {
    let (source, rest) = said.split_first_chunk::<N>()?;
    let (destination, rest) = rest.split_first_chunk::<N>()?;
    let (source_port, rest) = rest.split_first_chunk::<2>()?;
    let (destination_port, tlvs) = rest.split_first_chunk::<2>()?;
    let text = |octets: &[u8; N]| Bytes::from(ip(*octets).to_string());
    Some(ProxyHeader {
        source: text(source),
        destination: text(destination),
        source_port: u16::from_be_bytes(*source_port),
        destination_port: u16::from_be_bytes(*destination_port),
        tlvs: Bytes::copy_from_slice(tlvs),
    })
}

/// What is wrong with a value that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlvFault {
    /// The values in the head make no sense.
    Broken,
    /// The number in the name is none.
    Invalid,
    /// There is no value of this name.
    Unknown,
    /// What is said of TLS is too short; nginx does not mention it.
    Short,
}

const NAMES: &[(&[u8], u8)] =
    &[(b"alpn", 0x01), (b"authority", 0x02), (b"unique_id", 0x05), (b"ssl", 0x20), (b"netns", 0x30)];

const SSL_NAMES: &[(&[u8], u8)] =
    &[(b"version", 0x21), (b"cn", 0x22), (b"cipher", 0x23), (b"sig_alg", 0x24), (b"key_alg", 0x25)];

impl ProxyHeader {
    /// Appends a value by its name: `alpn`, `0x01`, `ssl_cn`, `ssl_verify`. Says whether there is one.
    ///
    /// # Errors
    /// What is wrong with the name or with the values.
    pub fn append_tlv(&self, name: &[u8], out: &mut Vec<u8>) -> Result<bool, TlvFault> {
        let Some(name) = name.strip_prefix(b"ssl_") else { return append_named(&self.tlvs, NAMES, name, out) };
        let Some(ssl) = find(&self.tlvs, 0x20)? else { return Ok(false) };
        let (head, tlvs) = ssl.split_first_chunk::<5>().ok_or(TlvFault::Short)?;
        if name == b"verify" {
            let [_client, verify @ ..] = *head;
            out.extend_from_slice(u32::from_be_bytes(verify).to_string().as_bytes());
            return Ok(true);
        }
        append_named(tlvs, SSL_NAMES, name, out)
    }
}

fn append_named(tlvs: &[u8], names: &[(&[u8], u8)], name: &[u8], out: &mut Vec<u8>) -> Result<bool, TlvFault> {
    let kind = match name.strip_prefix(b"0x") {
        Some(digits) => hexadecimal(digits).ok_or(TlvFault::Invalid)?,
        None => {
            names.iter().find(|(known, _)| *known == name).map(|(_, kind)| u64::from(*kind)).ok_or(TlvFault::Unknown)?
        }
    };
    // A number beyond all that a byte can hold is looked for, in vain.
    let value = find(tlvs, kind)?;
    out.extend_from_slice(value.unwrap_or_default());
    Ok(value.is_some())
}

fn hexadecimal(digits: &[u8]) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_hexdigit);
    is_number.then(|| u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok())?
}

fn find(mut tlvs: &[u8], kind: u64) -> Result<Option<&[u8]>, TlvFault> {
    while !tlvs.is_empty() {
        let ([found, high, low], rest) = tlvs.split_first_chunk::<3>().ok_or(TlvFault::Broken)?;
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, rest) = rest.split_at_checked(length).ok_or(TlvFault::Broken)?;
        if u64::from(*found) == kind {
            return Ok(Some(value));
        }
        tlvs = rest;
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v2(version_command: u8, family_transport: u8, said: &[u8]) -> Vec<u8> {
        let length = u16::try_from(said.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[version_command, family_transport], &length, said].concat()
    }

    fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
        [&[kind][..], &u16::try_from(value.len()).unwrap().to_be_bytes(), value].concat()
    }

    #[test]
    fn reads_version_1() {
        let (length, header) = parse(b"PROXY TCP4 192.0.2.1 192.0.2.2 123 5678\r\nGET").unwrap();
        let header = header.unwrap();
        assert_eq!(length, 41);
        assert_eq!((&header.source[..], header.source_port), (&b"192.0.2.1"[..], 123));
        assert_eq!((&header.destination[..], header.destination_port), (&b"192.0.2.2"[..], 5678));
        assert_eq!(parse(b"PROXY UNKNOWN 1 2 3\r\nGET"), Ok((21, None)));
        assert_eq!(parse(b"PROXY UNKNOWN\r\n"), Ok((15, None)));
    }

    #[test]
    fn refuses_what_is_broken() {
        for text in [
            "",
            "GET / HTTP/1.1",
            "PROXY TCP5 1.1.1.1 1.1.1.1 1 1",
            "PROXY TCP4 1.1.1.1 host 1 1",
            "PROXY TCP4 1.1.1.1 1.1.1.1 65536 1",
            "PROXY TCP4 1.1.1.1 1.1.1.1  1",
            "PROXY TCP4 1.1.1.1 1.1.1.1 1 1",
            "PROXY UNKNOWN",
        ] {
            let refusal = Err(Some(format!("broken header: \"{text}\"").into_bytes()));
            assert_eq!(parse(text.as_bytes()), refusal, "{text}");
            if text != "PROXY TCP4 1.1.1.1 1.1.1.1 1 1" && text != "PROXY UNKNOWN" {
                assert_eq!(parse(format!("{text}\r\n").as_bytes()), refusal, "{text}");
            }
        }
    }

    #[test]
    fn reads_version_2() {
        let said = [&[192, 0, 2, 1, 192, 0, 2, 2, 0, 123, 1, 0][..], &tlv(1, b"h2"), &tlv(0xe0, b"x")].concat();
        let bytes = v2(0x21, 0x11, &said);
        let (length, header) = parse(&bytes).unwrap();
        let header = header.unwrap();
        assert_eq!(length, bytes.len());
        assert_eq!((&header.source[..], header.source_port), (&b"192.0.2.1"[..], 123));
        assert_eq!((&header.destination[..], header.destination_port), (&b"192.0.2.2"[..], 256));
        let value = |name: &str| {
            let mut out = Vec::new();
            header.append_tlv(name.as_bytes(), &mut out).map(|found| found.then(|| String::from_utf8(out).unwrap()))
        };
        assert_eq!(value("alpn"), Ok(Some("h2".into())));
        assert_eq!(value("0xE0"), Ok(Some("x".into())));
        assert_eq!(value("authority"), Ok(None));
        assert_eq!(value("ssl_cn"), Ok(None));
        assert_eq!(value("0x"), Err(TlvFault::Invalid));
        assert_eq!(value("other"), Err(TlvFault::Unknown));
    }

    #[test]
    fn reads_what_is_said_of_tls() {
        let ssl = [&[1, 0, 0, 1, 4][..], &tlv(0x21, b"TLSv1.2"), &tlv(0x22, b"name"), &[0x23, 0, 9]].concat();
        let header = ProxyHeader { tlvs: tlv(0x20, &ssl).into(), ..ProxyHeader::default() };
        let value = |name: &str| {
            let mut out = Vec::new();
            header.append_tlv(name.as_bytes(), &mut out).map(|found| found.then(|| String::from_utf8(out).unwrap()))
        };
        assert_eq!(value("ssl_verify"), Ok(Some("260".into())));
        assert_eq!(value("ssl_version"), Ok(Some("TLSv1.2".into())));
        assert_eq!(value("ssl_0x22"), Ok(Some("name".into())));
        assert_eq!(value("ssl_cipher"), Err(TlvFault::Broken));
        let short = ProxyHeader { tlvs: tlv(0x20, b"123").into(), ..ProxyHeader::default() };
        assert_eq!(short.append_tlv(b"ssl_cn", &mut Vec::new()), Err(TlvFault::Short));
    }

    #[test]
    fn passes_over_what_names_no_client() {
        let addresses = [0; 36];
        assert_eq!(parse(&v2(0x20, 0x11, &addresses)), Ok((52, None)));
        assert_eq!(parse(&v2(0x21, 0x12, &addresses)), Ok((52, None)));
        assert_eq!(parse(&v2(0x21, 0x31, &addresses)), Ok((52, None)));
        assert_eq!(parse(&v2(0x21, 0x21, &addresses[..35])), Err(None));
        assert_eq!(parse(&v2(0x11, 0x21, &addresses)), Err(Some(b"unknown PROXY protocol version: 1".to_vec())));
        let cut = v2(0x21, 0x11, &addresses);
        assert_eq!(parse(&cut[..51]), Err(Some(b"header is too large".to_vec())));
        let (_, header) = parse(&v2(0x21, 0x21, &addresses)).unwrap();
        assert_eq!(&header.unwrap().source[..], b"::");
    }
}
