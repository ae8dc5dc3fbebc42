//! `$ssl_client_…`: the client's certificate.

use std::time::{SystemTime, UNIX_EPOCH};

use super::variables::{put, with};
use crate::http::{Request, TlsInfo, base64, sha1::sha1};
use crate::tls::{self, Style};

/// Asks about the client's certificate, where there is one.
fn of_certificate(r: &Request, ask: impl FnOnce(&[u8]) -> bool) -> bool {
    with(r, |tls| tls.certificate.as_deref().is_some_and(ask))
}

fn put_text(out: &mut Vec<u8>, text: Option<String>) -> bool {
    text.is_some_and(|text| put(out, text.as_bytes()))
}

pub(super) fn subject(r: &Request, out: &mut Vec<u8>) -> bool {
    of_certificate(r, |der| put_text(out, tls::subject(der, false, Style::Rfc2253)))
}

pub(super) fn issuer(r: &Request, out: &mut Vec<u8>) -> bool {
    of_certificate(r, |der| put_text(out, tls::subject(der, true, Style::Rfc2253)))
}

pub(super) fn subject_legacy(r: &Request, out: &mut Vec<u8>) -> bool {
    of_certificate(r, |der| put_text(out, tls::subject(der, false, Style::Legacy)))
}

pub(super) fn issuer_legacy(r: &Request, out: &mut Vec<u8>) -> bool {
    of_certificate(r, |der| put_text(out, tls::subject(der, true, Style::Legacy)))
}

pub(super) fn serial(r: &Request, out: &mut Vec<u8>) -> bool {
    of_certificate(r, |der| put_text(out, tls::serial(der)))
}

pub(super) fn fingerprint(r: &Request, out: &mut Vec<u8>) -> bool {
    of_certificate(r, |der| {
        let digits = sha1(&[der]).iter().fold(String::new(), |out, byte| out + &format!("{byte:02x}"));
        put(out, digits.as_bytes())
    })
}

pub(super) fn start(r: &Request, out: &mut Vec<u8>) -> bool {
    of_certificate(r, |der| put_text(out, tls::times(der).map(|(start, ..)| start)))
}

pub(super) fn end(r: &Request, out: &mut Vec<u8>) -> bool {
    of_certificate(r, |der| put_text(out, tls::times(der).map(|(_, end, _)| end)))
}

/// Whole days that are left.
pub(super) fn remain(r: &Request, out: &mut Vec<u8>) -> bool {
    const DAY: i64 = 86_400;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs().cast_signed());
    of_certificate(r, |der| put_text(out, tls::times(der).map(|(.., end)| ((end - now).max(0) / DAY).to_string())))
}

pub(super) fn raw(r: &Request, out: &mut Vec<u8>) -> bool {
    of_certificate(r, |der| put(out, &pem(der)))
}

/// All lines but the first behind a tab, without the last line's end.
pub(super) fn indented(r: &Request, out: &mut Vec<u8>) -> bool {
    of_certificate(r, |der| {
        let text = pem(der);
        let text = text.strip_suffix(b"\n").unwrap_or(&text);
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        put(out, &lines.join(&b"\n\t"[..]))
    })
}

pub(super) fn escaped(r: &Request, out: &mut Vec<u8>) -> bool {
    of_certificate(r, |der| {
        let text = pem(der).iter().fold(String::new(), |out, byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out + &char::from(*byte).to_string(),
            byte => out + &format!("%{byte:02X}"),
        });
        put(out, text.as_bytes())
    })
}

pub(super) fn verdict(r: &Request, out: &mut Vec<u8>) -> bool {
    with(r, |tls: &TlsInfo| match (&tls.certificate, tls.refused) {
        (None, _) => put(out, b"NONE"),
        (Some(_), None) => put(out, b"SUCCESS"),
        (Some(_), Some(fault)) => put(out, format!("FAILED:{}", fault.text).as_bytes()),
    })
}

fn pem(der: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    base64::append(der, &mut text);
    let mut out = b"-----BEGIN CERTIFICATE-----\n".to_vec();
    for line in text.chunks(64) {
        out.extend_from_slice(line);
        out.push(b'\n');
    }
    out.extend_from_slice(b"-----END CERTIFICATE-----\n");
    out
}
