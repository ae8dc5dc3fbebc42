//! `$ssl_…`: what is known of the connection and of the client's certificate.

use super::certificate;
use crate::http::{Request, TlsInfo, VariableDef};
use crate::tls::{cipher_name, curve_name};

pub(super) const VARIABLES: &[VariableDef] = &[
    VariableDef::new("ssl_protocol", |r, out| with(r, |tls| put(out, tls.protocol.as_bytes()))).changeable().cached(),
    VariableDef::new("ssl_cipher", |r, out| with(r, |tls| put(out, tls.cipher.as_bytes()))).changeable().cached(),
    VariableDef::new("ssl_ciphers", ciphers).changeable().cached(),
    VariableDef::new("ssl_curve", curve).changeable().cached(),
    VariableDef::new("ssl_curves", curves).changeable().cached(),
    VariableDef::new("ssl_session_id", |r, out| with(r, |tls| put(out, &tls.session_id))).changeable().cached(),
    VariableDef::new("ssl_session_reused", |r, out| with(r, |tls| put(out, if tls.reused { b"r" } else { b"." })))
        .changeable()
        .cached(),
    VariableDef::new("ssl_early_data", |r, out| with(r, |tls| tls.early.get() && put(out, b"1"))).changeable(),
    VariableDef::new("ssl_server_name", |r, out| with(r, |tls| put(out, &tls.server_name))).changeable().cached(),
    VariableDef::new("ssl_alpn_protocol", |r, out| with(r, |tls| put(out, tls.alpn.as_deref().unwrap_or_default())))
        .changeable()
        .cached(),
    VariableDef::new("ssl_client_cert", certificate::indented).changeable().cached(),
    VariableDef::new("ssl_client_raw_cert", certificate::raw).changeable().cached(),
    VariableDef::new("ssl_client_escaped_cert", certificate::escaped).changeable().cached(),
    VariableDef::new("ssl_client_s_dn", certificate::subject).changeable().cached(),
    VariableDef::new("ssl_client_i_dn", certificate::issuer).changeable().cached(),
    VariableDef::new("ssl_client_s_dn_legacy", certificate::subject_legacy).changeable().cached(),
    VariableDef::new("ssl_client_i_dn_legacy", certificate::issuer_legacy).changeable().cached(),
    VariableDef::new("ssl_client_serial", certificate::serial).changeable().cached(),
    VariableDef::new("ssl_client_fingerprint", certificate::fingerprint).changeable().cached(),
    VariableDef::new("ssl_client_verify", certificate::verdict).changeable().cached(),
    VariableDef::new("ssl_client_v_start", certificate::start).changeable().cached(),
    VariableDef::new("ssl_client_v_end", certificate::end).changeable().cached(),
    VariableDef::new("ssl_client_v_remain", certificate::remain).changeable().cached(),
];

/// Asks an encrypted connection; what is empty is not found, as in nginx.
pub(super) fn with(r: &Request, ask: impl FnOnce(&TlsInfo) -> bool) -> bool {
    r.connection.tls.get().is_some_and(|tls| ask(tls))
}

pub(super) fn put(out: &mut Vec<u8>, value: &[u8]) -> bool {
    out.extend_from_slice(value);
    !value.is_empty()
}

fn ciphers(r: &Request, out: &mut Vec<u8>) -> bool {
    with(r, |tls| list(out, &tls.ciphers, cipher_name))
}

fn curves(r: &Request, out: &mut Vec<u8>) -> bool {
    with(r, |tls| list(out, &tls.groups, curve_name))
}

fn curve(r: &Request, out: &mut Vec<u8>) -> bool {
    with(r, |tls| tls.group != 0 && list(out, &[tls.group], curve_name))
}

/// Names joined by colons; numbers where they have none, and nothing for those of RFC 8701.
fn list(out: &mut Vec<u8>, numbers: &[u16], name: fn(u16) -> Option<&'static str>) -> bool {
    let names = numbers.iter().filter(|number| *number & 0x0f0f != 0x0a0a).map(|number| match name(*number) {
        Some(name) => name.to_owned(),
        None => format!("0x{number:04x}"),
    });
    put(out, names.collect::<Vec<_>>().join(":").as_bytes())
}
