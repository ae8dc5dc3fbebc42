//! What stands in a certificate, as OpenSSL writes it: names, numbers and times.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::der::{Der, OID};
use super::x509::Certificate;

/// How a name is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// `CN=x,O=y`, the last part first (RFC 2253).
    Rfc2253,
    /// `/O=y/CN=x`
    Legacy,
}

/// The short names of a name's parts, by number.
const PARTS: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 4], "SN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x55, 4, 12], "title"),
    (&[0x55, 4, 13], "description"),
    (&[0x55, 4, 15], "businessCategory"),
    (&[0x55, 4, 17], "postalCode"),
    (&[0x55, 4, 41], "name"),
    (&[0x55, 4, 42], "GN"),
    (&[0x55, 4, 43], "initials"),
    (&[0x55, 4, 44], "generationQualifier"),
    (&[0x55, 4, 46], "dnQualifier"),
    (&[0x55, 4, 65], "pseudonym"),
    (&[0x55, 4, 97], "organizationIdentifier"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 2], "unstructuredName"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
];

/// Whose a certificate is, and who signed it.
pub fn subject(der: &[u8], issuer: bool, style: Style) -> Option<String> {
    let certificate = Certificate::read(der)?;
    let name = if issuer { certificate.issuer } else { certificate.subject };
    let mut sets = Vec::new();
    let mut list = Der(name).sequence()?;
    while let Some((_, set)) = list.next() {
        let mut parts = Vec::new();
        let mut set = Der(set);
        while let Some(mut part) = set.sequence() {
            let number = part.expect(OID)?;
            let (tag, value) = part.next()?;
            parts.push((part_name(number), tag, value));
        }
        sets.push(parts);
    }
    Some(match style {
        Style::Legacy => sets.iter().flatten().fold(String::new(), |out, (name, _, value)| {
            let value: String = value.iter().map(|byte| escaped_legacy(*byte)).collect();
            out + "/" + name + "=" + &value
        }),
        Style::Rfc2253 => {
            let sets = sets.iter().rev().map(|parts| {
                let parts = parts.iter().rev().map(|(name, tag, value)| format!("{name}={}", escaped(*tag, value)));
                parts.collect::<Vec<_>>().join("+")
            });
            sets.collect::<Vec<_>>().join(",")
        }
    })
}

fn part_name(number: &[u8]) -> String {
    match PARTS.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => (*name).to_owned(),
        None => dotted(number),
    }
}

/// A number of things, `1.2.840`.
fn dotted(number: &[u8]) -> String {
    let mut out = String::new();
    let mut value: u64 = 0;
    for byte in number {
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 != 0 {
            continue;
        }
        if out.is_empty() {
            let first = (value / 40).min(2);
            let _ = write!(out, "{first}.{}", value - 40 * first);
        } else {
            let _ = write!(out, ".{value}");
        }
        value = 0;
    }
    out
}

fn escaped_legacy(byte: u8) -> String {
    match byte {
        b' '..=b'~' => char::from(byte).to_string(),
        byte => format!("\\x{byte:02X}"),
    }
}

/// A value by RFC 2253, bytes beyond ASCII in hexadecimal digits.
fn escaped(tag: u8, value: &[u8]) -> String {
    const BMP_STRING: u8 = 0x1e;
    const LATIN: u8 = 0x14;
    let text: Vec<u8> = match tag {
        BMP_STRING => {
            let units: Vec<u16> = value.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]])).collect();
            String::from_utf16_lossy(&units).into_bytes()
        }
        LATIN => value.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes(),
        _ => value.to_vec(),
    };
    let mut out = String::new();
    for (at, byte) in text.iter().enumerate() {
        let at_edge = at == 0 || at + 1 == text.len();
        match byte {
            b',' | b'+' | b'"' | b'\\' | b'<' | b'>' | b';' => {
                out.push('\\');
                out.push(char::from(*byte));
            }
            b'#' if at == 0 => out.push_str("\\#"),
            b' ' if at_edge => out.push_str("\\ "),
            b' '..=b'~' => out.push(char::from(*byte)),
            byte => {
                let _ = write!(out, "\\{byte:02X}");
            }
        }
    }
    out
}

/// The number that its issuer gave a certificate, in hexadecimal digits.
pub fn serial(der: &[u8]) -> Option<String> {
    let serial = Certificate::read(der)?.serial;
    let (sign, bytes) = match serial {
        [0, rest @ ..] if !rest.is_empty() => ("", rest.to_vec()),
        [first, ..] if first & 0x80 != 0 => {
            // Two's complement.
            let mut carry = 1_u16;
            let mut bytes: Vec<u8> = serial
                .iter()
                .rev()
                .map(|byte| {
                    let sum = u16::from(!byte) + carry;
                    carry = sum >> 8;
                    (sum & 0xff) as u8
                })
                .collect();
            bytes.reverse();
            ("-", bytes)
        }
        _ => ("", serial.to_vec()),
    };
    Some(bytes.iter().fold(sign.to_owned(), |out, byte| out + &format!("{byte:02X}")))
}

/// From when and until when a certificate is good: in OpenSSL's words, and the end in seconds since 1970.
pub fn times(der: &[u8]) -> Option<(String, String, i64)> {
    let certificate = Certificate::read(der)?;
    let shown = |seconds: i64| {
        let time = Timestamp::from_second(seconds).ok()?.to_zoned(jiff::tz::TimeZone::UTC);
        Some(time.strftime("%b %e %H:%M:%S %Y GMT").to_string())
    };
    Some((shown(certificate.not_before)?, shown(certificate.not_after)?, certificate.not_after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_names_and_numbers() {
        assert_eq!(dotted(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d]), "1.2.840.113549");
        assert_eq!(part_name(&[0x55, 4, 3]), "CN");
        assert_eq!(escaped(12, b" a,b+\xc3\xa9 "), "\\ a\\,b\\+\\C3\\A9\\ ");
        assert_eq!(escaped(BMP, &[0, b'a']), "a");
    }

    const BMP: u8 = 0x1e;
}
