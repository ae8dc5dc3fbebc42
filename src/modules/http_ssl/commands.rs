//! `ssl_conf_command`, as far as rustls can do what it says; and what is lost of a configuration, said once.

use rustls::SupportedCipherSuite;

use super::Located;
use super::load::fault;
use crate::conf::Ctx;
use crate::diag::{Diagnostic, Span};
use crate::tls::Ciphers;

/// What `ssl_conf_command` asks for.
#[derive(Default)]
pub(in crate::modules) struct Commands {
    /// `Ciphersuites`
    pub(in crate::modules) suites: Option<Vec<SupportedCipherSuite>>,
    /// `CipherString`
    pub(in crate::modules) ciphers: Option<Located>,
    /// `Groups` or `Curves`
    pub(in crate::modules) groups: Option<Located>,
    /// `Certificate` and `PrivateKey`
    pub(in crate::modules) certificate: (Option<Located>, Option<Located>),
    /// `SessionTicket` of `Options`
    pub(in crate::modules) tickets: Option<bool>,
    /// `ServerPreference` of `Options`
    pub(in crate::modules) own_order: Option<bool>,
    lowest: u32,
    highest: Option<u32>,
}

/// Names that OpenSSL knows and that mean nothing to rustls.
const WITHOUT_EFFECT: &[&str] = &[
    "SignatureAlgorithms",
    "ClientSignatureAlgorithms",
    "ECDHParameters",
    "DHParameters",
    "RecordPadding",
    "NumTickets",
    "VerifyMode",
    "VerifyCAFile",
    "VerifyCAPath",
    "ChainCAFile",
    "ChainCAPath",
    "ClientCAFile",
    "ClientCAPath",
    "RequestCAFile",
    "RequestCAPath",
    "ServerInfoFile",
    "Protocol",
];

impl Commands {
    /// Reads them in the order written.
    ///
    /// # Errors
    /// OpenSSL would not know the name or the value.
    pub(in crate::modules) fn read(written: &[(Located, Located)], lost: &mut Lost) -> Result<Self, Box<Diagnostic>> {
        let mut commands = Self::default();
        for (name, value) in written {
            let text = value.text();
            let wrong = |detail: String| {
                let message = format!("SSL_CONF_cmd(\"{}\", \"{text}\") failed (SSL: {detail})", name.text());
                Box::new(fault("ssl-command", name, message))
            };
            let reason = || format!("error:0A000180:SSL routines::bad value:cmd={}, value={text}", name.text());
            let bad_value = || wrong(reason());
            let no_cipher = || wrong(format!("error:0A0000B9:SSL routines::no cipher match {}", reason()));
            match &*name.text() {
                "Protocol" if !text.split(',').all(is_protocol) => return Err(bad_value()),
                "Options" if !text.split(',').all(is_option) => return Err(bad_value()),
                "Ciphersuites" => commands.suites = Some(Ciphers::read_tls13(&text).map_err(|_| no_cipher())?),
                "Certificate" => commands.certificate.0 = Some(value.clone()),
                "PrivateKey" => commands.certificate.1 = Some(value.clone()),
                "CipherString" => commands.ciphers = Some(value.clone()),
                "Groups" | "Curves" => commands.groups = Some(value.clone()),
                "MinProtocol" => commands.lowest = version(&text).ok_or_else(bad_value)?,
                "MaxProtocol" => commands.highest = Some(version(&text).ok_or_else(bad_value)?),
                "Options" => commands.options(&text, value.at, lost),
                known if WITHOUT_EFFECT.contains(&known) => lost.add("ssl_conf_command", &[known.to_owned()], name.at),
                unknown => {
                    return Err(wrong(format!("error:0A000182:SSL routines::unknown cmd name:cmd={unknown}")));
                }
            }
        }
        Ok(commands)
    }

    fn options(&mut self, list: &str, at: Span, lost: &mut Lost) {
        for option in list.split(',') {
            match option.strip_prefix('-') {
                None if option == "SessionTicket" => self.tickets = Some(true),
                Some("SessionTicket") => self.tickets = Some(false),
                None if option == "ServerPreference" => self.own_order = Some(true),
                Some("ServerPreference") => self.own_order = Some(false),
                _ => lost.add("ssl_conf_command", &[format!("Options {option}")], at),
            }
        }
    }

    /// The bits of `ssl_protocols` that are left.
    pub(in crate::modules) fn limit_versions(&self, bits: u32) -> u32 {
        let highest = self.highest.filter(|bit| *bit > 0).unwrap_or(u32::MAX);
        super::PROTOCOLS
            .iter()
            .filter(|(_, bit)| *bit >= self.lowest && *bit <= highest)
            .fold(0, |left, (_, bit)| left | bits & bit)
    }
}

/// Whether OpenSSL knows it as an item of `Protocol`.
fn is_protocol(item: &str) -> bool {
    let known = ["ALL", "SSLv2", "SSLv3", "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3", "DTLSv1", "DTLSv1.2"];
    known.iter().any(|known| known.eq_ignore_ascii_case(without_sign(item)))
}

/// Whether OpenSSL knows it as an item of `Options`.
fn is_option(item: &str) -> bool {
    OPTIONS.iter().any(|known| known.eq_ignore_ascii_case(without_sign(item)))
}

fn without_sign(item: &str) -> &str {
    let item = item.trim_ascii();
    item.strip_prefix(['+', '-']).unwrap_or(item)
}

/// What OpenSSL 3 knows as `Options`.
const OPTIONS: &[&str] = &[
    "SessionTicket",
    "EmptyFragments",
    "Bugs",
    "Compression",
    "ServerPreference",
    "NoResumptionOnRenegotiation",
    "DHSingle",
    "ECDHSingle",
    "UnsafeLegacyRenegotiation",
    "UnsafeLegacyServerConnect",
    "ClientRenegotiation",
    "EncryptThenMac",
    "NoRenegotiation",
    "AllowNoDHEKEX",
    "PrioritizeChaCha",
    "MiddleboxCompat",
    "AntiReplay",
    "ExtendedMasterSecret",
    "CANames",
    "KTLS",
];

/// The bit of a version; 0 for `None`.
fn version(name: &str) -> Option<u32> {
    if name == "None" {
        return Some(0);
    }
    super::PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, bit)| *bit)
}

/// What a configuration names and rustls does not have.
#[derive(Default)]
pub(in crate::modules) struct Lost(Vec<(&'static str, String, Span)>);

impl Lost {
    /// Notes words of a directive.
    pub(in crate::modules) fn add(&mut self, directive: &'static str, words: &[String], at: Span) {
        for word in words {
            if !self.0.iter().any(|(known, said, _)| *known == directive && said == word) {
                self.0.push((directive, word.clone(), at));
            }
        }
    }

    /// Says it in one notice.
    pub(in crate::modules) fn say(self, ctx: &mut Ctx<'_>) {
        let Some((_, _, at)) = self.0.first() else { return };
        let mut parts: Vec<(&str, Vec<&str>)> = Vec::new();
        for (directive, word, _) in &self.0 {
            match parts.iter_mut().find(|(known, _)| known == directive) {
                Some((_, words)) => words.push(word),
                None => parts.push((directive, vec![word])),
            }
        }
        let parts: Vec<_> = parts.iter().map(|(name, words)| format!("\"{name}\" ({})", words.join(", "))).collect();
        let message = format!("no effect in rnginx, which has no part of TLS that needs it: {}", parts.join("; "));
        ctx.complain(Diagnostic::note("no-effect", message).at(*at));
    }
}
