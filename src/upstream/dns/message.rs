//! DNS messages: questions as they are sent, answers as they are read, with nginx's words for what is wrong with them.
//! RFC 1035 section 4.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bytes::Bytes;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    A,
    Aaaa,
    Srv,
}

const CNAME: u16 = 5;
const DNAME: u16 = 39;
const HEADER: usize = 12;
/// Type, class, time to live and length of a record.
const RECORD: usize = 10;

impl Kind {
    fn number(self) -> u16 {
        match self {
            Kind::A => 1,
            Kind::Aaaa => 28,
            Kind::Srv => 33,
        }
    }

    fn of(number: u16) -> Option<Self> {
        [Kind::A, Kind::Aaaa, Kind::Srv].into_iter().find(|kind| kind.number() == number)
    }
}

/// A question; `None` for a name that cannot be asked for.
pub(super) fn question(name: &[u8], kind: Kind, ident: u16) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(HEADER + name.len() + 6);
    out.extend_from_slice(&ident.to_be_bytes());
    // Recursion desired, one question.
    out.extend_from_slice(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split(|byte| *byte == b'.') {
        // nginx sends labels of up to 255 bytes; what is longer than 63 is no label but a pointer.
        let length = u8::try_from(label.len()).ok().filter(|length| (1..64).contains(length))?;
        out.push(length);
        out.extend_from_slice(label);
    }
    out.push(0);
    out.extend_from_slice(&kind.number().to_be_bytes());
    out.extend_from_slice(&[0, 1]);
    Some(out)
}

/// The head of an answer, and the question that it repeats.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) ident: u16,
    /// RCODE; 0 is no error.
    pub(super) code: u16,
    pub(super) truncated: bool,
    pub(super) kind: Kind,
    /// In small letters.
    pub(super) name: Vec<u8>,
    records: u16,
    at: usize,
}

/// What the records of an answer say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Records {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) services: Vec<Service>,
    pub(super) alias: Option<Bytes>,
    /// Seconds.
    pub(super) ttl: u32,
    /// Types that nobody asked for.
    pub(super) strange: Vec<u16>,
}

/// An SRV record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) priority: u16,
    pub(super) weight: u16,
    pub(super) port: u16,
    pub(super) target: Bytes,
}

const SHORT: &str = "short DNS response";

/// Reads the head.
///
/// # Errors
/// nginx's sentence about what is wrong.
pub(super) fn read_head(message: &[u8], tcp: bool, text: fn(u16) -> &'static str) -> Result<Head, String> {
    let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    if message.len() < HEADER {
        return Err(SHORT.into());
    }
    let (ident, flags) = (word(0), word(2));
    let truncated = flags & 0x0200 != 0;
    if flags & 0xf870 != 0x8000 || (truncated && tcp) {
        let way = if tcp { "TCP" } else { "UDP" };
        return Err(format!("invalid {way} DNS response {ident} fl:{flags:04X}"));
    }
    let code = flags & 0xf;
    if code == 1 || code > 5 {
        return Err(format!("DNS error ({code}: {}), query id:{ident}", text(code)));
    }
    if word(4) != 1 {
        return Err("invalid number of questions in DNS response".into());
    }
    let mut at = HEADER;
    loop {
        match message.get(at) {
            None => return Err(SHORT.into()),
            Some(length) if length & 0xc0 != 0 => return Err("unexpected compression pointer in DNS response".into()),
            Some(0) => break,
            Some(length) => at += 1 + usize::from(*length),
        }
    }
    if at == HEADER {
        return Err("zero-length domain name in DNS response".into());
    }
    at += 1;
    let records = word(6);
    if at + 4 + usize::from(records) * (2 + RECORD) > message.len() {
        return Err(SHORT.into());
    }
    if word(at + 2) != 1 {
        return Err(format!("unknown query class {} in DNS response", word(at + 2)));
    }
    let kind = Kind::of(word(at)).ok_or_else(|| format!("unknown query type {} in DNS response", word(at)))?;
    let name = read_name(message, HEADER)?;
    Ok(Head { ident, code, truncated, kind, name, records, at: at + 4 })
}

/// Reads a name that may point elsewhere, in small letters.
fn read_name(message: &[u8], mut at: usize) -> Result<Vec<u8>, String> {
    const OUT: &str = "name is out of DNS response";
    let mut name = Vec::new();
    // 128 steps are enough for a name of 255 bytes; pointers may run in circles.
    for _ in 0..128 {
        let length = usize::from(*message.get(at).ok_or(OUT)?);
        at += 1;
        if length == 0 {
            name.pop();
            return Ok(name);
        }
        if length & 0xc0 == 0 {
            let label = message.get(at..at + length).ok_or(OUT)?;
            name.extend(label.iter().map(u8::to_ascii_lowercase));
            name.push(b'.');
            at += length;
            continue;
        }
        if length & 0xc0 != 0xc0 {
            return Err("invalid label type in DNS response".into());
        }
        at = (length & 0x3f) << 8 | usize::from(*message.get(at).ok_or(OUT)?);
    }
    Err("compression pointers loop in DNS response".into())
}

/// Skips the name of a record.
fn skip_name(message: &[u8], start: usize, kind: Kind) -> Result<usize, String> {
    let mut at = start;
    loop {
        match message.get(at) {
            None => return Err(SHORT.into()),
            Some(length) if length & 0xc0 != 0 => return Ok(at + 2),
            Some(0) if at == start => {
                let middle = if kind == Kind::Srv { "name" } else { "name in" };
                return Err(format!("invalid {middle} DNS response"));
            }
            Some(0) => return Ok(at + 1),
            Some(length) => at += 1 + usize::from(*length),
        }
    }
}

/// Reads the records.
///
/// # Errors
/// nginx's sentence about what is wrong.
pub(super) fn read_records(message: &[u8], head: &Head) -> Result<Records, String> {
    let mut records = Records { ttl: u32::MAX, ..Records::default() };
    let mut at = head.at;
    for _ in 0..head.records {
        at = skip_name(message, at, head.kind)?;
        if at + RECORD >= message.len() {
            return Err(SHORT.into());
        }
        let word = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
        let (number, class, length) = (word(at), word(at + 2), usize::from(word(at + 8)));
        if class != 1 {
            return Err(format!("unexpected RR class {class} in DNS response"));
        }
        let ttl = u32::from_be_bytes([message[at + 4], message[at + 5], message[at + 6], message[at + 7]]);
        // Times that are negative as signed numbers are none.
        records.ttl = records.ttl.min(i32::try_from(ttl).map_or(0, i32::unsigned_abs));
        at += RECORD;
        records.read_one(message, (at, length), number, head.kind)?;
        at += length;
    }
    Ok(records)
}

impl Records {
    fn read_one(
        &mut self,
        message: &[u8],
        (at, length): (usize, usize),
        number: u16,
        asked: Kind,
    ) -> Result<(), String> {
        let kind = Kind::of(number);
        match kind {
            Some(Kind::A | Kind::Aaaa) if asked != Kind::Srv => {
                let (name, size) = if kind == Some(Kind::A) { ("A", 4) } else { ("AAAA", 16) };
                if kind != Some(asked) {
                    return Err(format!("unexpected {name} record in DNS response"));
                }
                if length != size {
                    return Err(format!("invalid {name} record in DNS response"));
                }
                let bytes = message.get(at..at + size).ok_or(SHORT)?;
                let v4 = <[u8; 4]>::try_from(bytes).map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
                let v6 = <[u8; 16]>::try_from(bytes).map(|octets| IpAddr::V6(Ipv6Addr::from(octets)));
                self.addresses.extend(v4.or(v6));
            }
            Some(Kind::Srv) if asked == Kind::Srv => {
                let word = |at: usize| message.get(at..at + 2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
                let (Some(priority), Some(weight), Some(port), true) =
                    (word(at), word(at + 2), word(at + 4), at + 6 < message.len())
                else {
                    return Err(SHORT.into());
                };
                let target = read_name(message, at + 6)?.into();
                self.services.push(Service { priority, weight: weight.max(1), port, target });
            }
            _ if number == CNAME => self.alias = Some(read_name(message, at)?.into()),
            _ if number == DNAME => {}
            _ => self.strange.push(number),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(records: &[&[u8]], kind: Kind) -> Vec<u8> {
        let mut message = question(b"a.example", kind, 7).unwrap();
        message[2] = 0x81;
        message[7] = u8::try_from(records.len()).unwrap();
        records.iter().for_each(|record| message.extend_from_slice(record));
        message
    }

    fn text(_code: u16) -> &'static str {
        "text"
    }

    #[test]
    fn asks() {
        let asked = question(b"ab.c", Kind::Aaaa, 0x0102).unwrap();
        assert_eq!(asked, b"\x01\x02\x01\0\0\x01\0\0\0\0\0\0\x02ab\x01c\0\0\x1c\0\x01");
        assert_eq!(question(b"a..b", Kind::A, 1), None);
        assert_eq!(question(b"", Kind::A, 1), None);
    }

    #[test]
    fn reads_addresses_and_aliases() {
        let cname = b"\xc0\x0c\0\x05\0\x01\0\0\0\x09\0\x04\x01X\xc0\x0c";
        let a = b"\xc0\x0c\0\x01\0\x01\0\0\0\x05\0\x04\x7f\0\0\x02";
        let message = answer(&[cname, a], Kind::A);
        let head = read_head(&message, false, text).unwrap();
        assert_eq!((head.ident, head.code, &head.name[..]), (7, 0, &b"a.example"[..]));
        let records = read_records(&message, &head).unwrap();
        assert_eq!(records.addresses, [IpAddr::from([127, 0, 0, 2])]);
        assert_eq!((records.alias.as_deref(), records.ttl), (Some(&b"x.a.example"[..]), 5));
    }

    #[test]
    fn reads_services() {
        let srv = b"\xc0\x0c\0\x21\0\x01\0\0\0\x05\0\x0a\0\x01\0\0\x1f\x90\x01B\xc0\x0e";
        let message = answer(&[srv], Kind::Srv);
        let records = read_records(&message, &read_head(&message, false, text).unwrap()).unwrap();
        let target = Bytes::from_static(b"b.example");
        assert_eq!(records.services, [Service { priority: 1, weight: 1, port: 8080, target }]);
    }

    #[test]
    fn says_what_is_wrong() {
        let said = |message: &[u8]| read_head(message, false, text).unwrap_err();
        assert_eq!(said(b"short"), "short DNS response");
        let mut message = answer(&[], Kind::A);
        message[2] = 1;
        assert_eq!(said(&message), "invalid UDP DNS response 7 fl:0100");
        message[2] = 0x81;
        message[3] = 9;
        assert_eq!(said(&message), "DNS error (9: text), query id:7");
        let loops = answer(&[b"\xc0\x0c\0\x05\0\x01\0\0\0\x09\0\x02\xc0\x27"], Kind::A);
        let head = read_head(&loops, false, text).unwrap();
        assert_eq!(read_records(&loops, &head).unwrap_err(), "compression pointers loop in DNS response");
        let aaaa = answer(&[b"\xc0\x0c\0\x1c\0\x01\0\0\0\x05\0\x04\x7f\0\0\x02"], Kind::A);
        let head = read_head(&aaaa, false, text).unwrap();
        assert_eq!(read_records(&aaaa, &head).unwrap_err(), "unexpected AAAA record in DNS response");
    }

    #[test]
    fn survives_noise() {
        let whole = answer(&[b"\xc0\x0c\0\x21\0\x01\0\0\0\x05\0\x0a\0\x01\0\0\x1f\x90\x01B\xc0\x0e"], Kind::Srv);
        for at in 0..whole.len() {
            for value in [0, 1, 0x3f, 0x40, 0xc0, 0xff] {
                let mut message = whole.clone();
                message[at] = value;
                for end in [at, message.len()] {
                    if let Ok(head) = read_head(&message[..end], false, text) {
                        let _ = read_records(&message[..end], &head);
                    }
                }
            }
        }
    }
}
