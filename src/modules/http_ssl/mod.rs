//! Encryption of clients' connections. <https://nginx.org/en/docs/http/ngx_http_ssl_module.html>

mod build;
mod certificate;
pub(super) mod choice;
pub(super) mod commands;
pub(super) mod load;
mod ocsp;
pub(super) mod settings;
mod variables;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::conf::{Args, Command, Ctx, Inherit, Module, SetResult, assign};
use crate::diag::Span;
use crate::http::VariableDef;
use crate::tls::{CertificateCache, Verify};

/// `ngx_http_ssl_module`.
pub struct HttpSsl;

/// A word and where it stands.
#[derive(Clone, Debug)]
pub(in crate::modules) struct Located {
    pub(in crate::modules) value: Bytes,
    pub(in crate::modules) at: Span,
}

impl Located {
    /// A word of a directive.
    pub(in crate::modules) fn new(args: &Args<'_>, index: usize) -> Self {
        Self { value: args.bytes(index), at: args.word(index).span }
    }

    /// As text.
    pub(in crate::modules) fn text(&self) -> String {
        String::from_utf8_lossy(&self.value).into_owned()
    }
}

/// A zone of sessions: `shared:NAME:SIZE`.
#[derive(Clone, Debug)]
pub(super) struct SessionZone {
    pub(super) name: Bytes,
    pub(super) size: usize,
}

/// The other half of `ssl_session_cache`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Builtin {
    /// `off` or `none`, or only `shared`.
    None,
    /// `builtin`: so many sessions.
    Of(usize),
}

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    certificates: Vec<Located>,
    keys: Vec<Located>,
    passwords: Option<Arc<Vec<Vec<u8>>>>,
    protocols: Option<u32>,
    protocols_at: Option<Span>,
    ciphers: Option<Located>,
    prefer_server_ciphers: Option<bool>,
    curve: Option<Located>,
    dhparam: Option<Located>,
    buffer_size: Option<usize>,
    verify: Option<Verify>,
    verify_at: Option<Span>,
    verify_depth: Option<u64>,
    client_certificate: Option<Located>,
    trusted_certificate: Option<Located>,
    crl: Option<Located>,
    builtin: Option<Builtin>,
    zone: Option<SessionZone>,
    session_timeout: Option<Duration>,
    session_tickets: Option<bool>,
    ticket_keys: Vec<Located>,
    early_data: Option<bool>,
    reject_handshake: Option<bool>,
    stapling: Option<bool>,
    stapling_at: Option<Span>,
    stapling_file: Option<Located>,
    stapling_responder: Option<Located>,
    stapling_verify: Option<bool>,
    ocsp: Option<ocsp::Mode>,
    ocsp_responder: Option<Located>,
    ocsp_cache: Option<Option<SessionZone>>,
    conf_commands: Vec<(Located, Located)>,
    certificate_cache: Option<Option<CertificateCache>>,
}

/// Bits of `ssl_protocols`.
pub(in crate::modules) const PROTOCOLS: &[(&str, u32)] =
    &[("SSLv2", 1), ("SSLv3", 2), ("TLSv1", 4), ("TLSv1.1", 8), ("TLSv1.2", 16), ("TLSv1.3", 32)];

/// nginx's default.
const DEFAULT_PROTOCOLS: u32 = 16 | 32;

const VERIFY: &[(&str, Verify)] = &[
    ("off", Verify::Off),
    ("on", Verify::On),
    ("optional", Verify::Optional),
    ("optional_no_ca", Verify::OptionalNoCa),
];

impl Module for HttpSsl {
    type Conf = Conf;
    const NAME: &'static str = "http_ssl";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("ssl_certificate", |c, args, _| {
            c.certificates.push(Located::new(args, 1));
            Ok(())
        }),
        Command::custom("ssl_certificate_key", |c, args, _| {
            c.keys.push(Located::new(args, 1));
            Ok(())
        }),
        Command::custom("ssl_certificate_cache", |c, args, _| {
            settings::certificate_cache(&mut c.certificate_cache, args)
        }),
        Command::custom("ssl_password_file", |c, args, ctx| settings::passwords(&mut c.passwords, args, ctx)),
        Command::custom("ssl_dhparam", |c, args, _| word(&mut c.dhparam, args)),
        Command::custom("ssl_ecdh_curve", |c, args, _| word(&mut c.curve, args)),
        Command::custom("ssl_protocols", |c, args, _| {
            c.protocols_at.get_or_insert(args.word(0).span);
            assign(&mut c.protocols, args, || args.bits(PROTOCOLS))
        }),
        Command::custom("ssl_ciphers", |c, args, _| word(&mut c.ciphers, args)),
        Command::size("ssl_buffer_size", |c| &mut c.buffer_size),
        Command::custom("ssl_verify_client", |c, args, _| {
            c.verify_at.get_or_insert(args.word(1).span);
            assign(&mut c.verify, args, || args.one_of(1, VERIFY))
        }),
        Command::number("ssl_verify_depth", |c| &mut c.verify_depth),
        Command::custom("ssl_client_certificate", |c, args, _| word(&mut c.client_certificate, args)),
        Command::custom("ssl_trusted_certificate", |c, args, _| word(&mut c.trusted_certificate, args)),
        Command::custom("ssl_crl", |c, args, _| word(&mut c.crl, args)),
        Command::flag("ssl_prefer_server_ciphers", |c| &mut c.prefer_server_ciphers),
        Command::custom("ssl_session_cache", settings::session_cache),
        Command::flag("ssl_session_tickets", |c| &mut c.session_tickets),
        Command::custom("ssl_session_ticket_key", |c, args, _| {
            c.ticket_keys.push(Located::new(args, 1));
            Ok(())
        }),
        Command::sec("ssl_session_timeout", |c| &mut c.session_timeout),
        Command::flag("ssl_early_data", |c| &mut c.early_data),
        Command::flag("ssl_reject_handshake", |c| &mut c.reject_handshake),
        Command::custom("ssl_stapling", |c, args, _| {
            c.stapling_at.get_or_insert(args.word(0).span);
            assign(&mut c.stapling, args, || args.flag(1))
        }),
        Command::custom("ssl_stapling_file", |c, args, _| word(&mut c.stapling_file, args)),
        Command::custom("ssl_stapling_responder", |c, args, _| word(&mut c.stapling_responder, args)),
        Command::flag("ssl_stapling_verify", |c| &mut c.stapling_verify),
        Command::custom("ssl_ocsp", |c, args, _| assign(&mut c.ocsp, args, || args.one_of(1, ocsp::MODES))),
        Command::custom("ssl_ocsp_responder", |c, args, _| word(&mut c.ocsp_responder, args)),
        Command::custom("ssl_ocsp_cache", |c, args, ctx| ocsp::cache(&mut c.ocsp_cache, args, ctx)),
        Command::custom("ssl_conf_command", |c, args, _| {
            c.conf_commands.push((Located::new(args, 1), Located::new(args, 2)));
            Ok(())
        }),
    ];
    const VARIABLES: &'static [VariableDef] = variables::VARIABLES;

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.certificates.inherit(&parent.certificates);
        conf.keys.inherit(&parent.keys);
        conf.passwords.inherit(&parent.passwords);
        conf.protocols.inherit(&parent.protocols);
        conf.protocols_at.inherit(&parent.protocols_at);
        conf.ciphers.inherit(&parent.ciphers);
        conf.prefer_server_ciphers.inherit(&parent.prefer_server_ciphers);
        conf.curve.inherit(&parent.curve);
        conf.dhparam.inherit(&parent.dhparam);
        conf.buffer_size.inherit(&parent.buffer_size);
        conf.verify.inherit(&parent.verify);
        conf.verify_at.inherit(&parent.verify_at);
        conf.verify_depth.inherit(&parent.verify_depth);
        conf.client_certificate.inherit(&parent.client_certificate);
        conf.trusted_certificate.inherit(&parent.trusted_certificate);
        conf.crl.inherit(&parent.crl);
        conf.builtin.inherit(&parent.builtin);
        conf.zone.inherit(&parent.zone);
        conf.session_timeout.inherit(&parent.session_timeout);
        conf.session_tickets.inherit(&parent.session_tickets);
        conf.ticket_keys.inherit(&parent.ticket_keys);
        conf.early_data.inherit(&parent.early_data);
        conf.reject_handshake.inherit(&parent.reject_handshake);
        conf.stapling.inherit(&parent.stapling);
        conf.stapling_at.inherit(&parent.stapling_at);
        conf.stapling_file.inherit(&parent.stapling_file);
        conf.stapling_responder.inherit(&parent.stapling_responder);
        conf.stapling_verify.inherit(&parent.stapling_verify);
        conf.ocsp.inherit(&parent.ocsp);
        conf.ocsp_responder.inherit(&parent.ocsp_responder);
        conf.ocsp_cache.inherit(&parent.ocsp_cache);
        conf.certificate_cache.inherit(&parent.certificate_cache);
        conf.conf_commands.inherit(&parent.conf_commands);
    }

    fn finish(ctx: &mut Ctx<'_>) {
        build::sites(ctx);
    }
}

fn word(field: &mut Option<Located>, args: &Args<'_>) -> SetResult {
    assign(field, args, || Ok(Located::new(args, 1)))
}
