//! Suites, groups and versions: what was written, as far as rustls has it.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

use super::commands::{Commands, Lost};
use super::{DEFAULT_PROTOCOLS, Located, PROTOCOLS};
use crate::diag::{Diagnostic, Span};
use crate::tls::{self, Ciphers};

/// nginx's `ssl_ciphers`.
pub(in crate::modules) const DEFAULT_CIPHERS: &str = "HIGH:!aNULL:!MD5";

/// Suites and groups.
pub(in crate::modules) struct Chosen {
    suites: Vec<SupportedCipherSuite>,
    groups: Vec<&'static dyn SupportedKxGroup>,
}

impl Chosen {
    /// Reads the lists.
    pub(in crate::modules) fn of(
        ciphers: Option<&Located>,
        default: &str,
        curve: Option<&Located>,
        commands: &Commands,
        lost: &mut Lost,
    ) -> Result<Self, Box<Diagnostic>> {
        let suites = suites(commands.ciphers.as_ref().or(ciphers), default, commands, lost)?;
        Ok(Self { suites, groups: groups(commands.groups.as_ref().or(curve), lost)? })
    }

    /// What rustls is to use.
    pub(in crate::modules) fn provider(self) -> Arc<CryptoProvider> {
        let Self { suites, groups } = self;
        Arc::new(CryptoProvider { cipher_suites: suites, kx_groups: groups, ..(**tls::provider()).clone() })
    }
}

/// Suites of both versions.
fn suites(
    written: Option<&Located>,
    default: &str,
    commands: &Commands,
    lost: &mut Lost,
) -> Result<Vec<SupportedCipherSuite>, Box<Diagnostic>> {
    let list = written.map_or_else(|| default.to_owned(), Located::text);
    let read = Ciphers::read(&list).map_err(|_| {
        let detail = "error:0A0000B9:SSL routines::no cipher match";
        let message = format!("SSL_CTX_set_cipher_list(\"{list}\") failed (SSL: {detail})");
        let place = written.map_or(Span::default(), |written| written.at);
        let help = "rnginx has the suites with ECDHE and AES-GCM or ChaCha20 only";
        Box::new(Diagnostic::error("no-cipher", message).at(place).after_reading().help(help))
    })?;
    if let Some(written) = written {
        lost.add("ssl_ciphers", &read.missing, written.at);
    }
    let mut suites = commands.suites.clone().unwrap_or_else(Ciphers::tls13);
    suites.extend(read.tls12);
    Ok(suites)
}

fn groups(written: Option<&Located>, lost: &mut Lost) -> Result<Vec<&'static dyn SupportedKxGroup>, Box<Diagnostic>> {
    let list = written.map_or_else(|| "auto".to_owned(), Located::text);
    let (groups, missing) = tls::curves(&list).map_err(|group| {
        let detail = format!("error:0A080106:SSL routines::passed invalid argument:group '{group}' cannot be set");
        let message = format!("SSL_CTX_set1_curves_list(\"{list}\") failed (SSL: {detail})");
        let place = written.map_or(Span::default(), |written| written.at);
        Box::new(Diagnostic::error("no-curve", message).at(place).after_reading())
    })?;
    if let Some(written) = written {
        lost.add("ssl_ecdh_curve", &missing, written.at);
    }
    Ok(groups)
}

/// Versions, as `ssl_protocols` or its kin name them.
pub(in crate::modules) fn versions(
    written: Option<u32>,
    at: Option<Span>,
    directive: &'static str,
    commands: &Commands,
    lost: &mut Lost,
) -> Result<Vec<&'static SupportedProtocolVersion>, Box<Diagnostic>> {
    let bits = commands.limit_versions(written.unwrap_or(DEFAULT_PROTOCOLS));
    let at = at.unwrap_or_default();
    let old = PROTOCOLS.iter().filter(|(_, bit)| bits & bit & !DEFAULT_PROTOCOLS != 0);
    let old: Vec<_> = old.map(|(name, _)| (*name).to_owned()).collect();
    lost.add(directive, &old, at);
    let known = [(16, &TLS12), (32, &TLS13)];
    let versions: Vec<_> = known.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, version)| *version).collect();
    if versions.is_empty() {
        let message = format!("\"{directive}\" leaves nothing that rnginx speaks: TLSv1.2 or TLSv1.3");
        return Err(Box::new(Diagnostic::error("no-protocol", message).at(at)));
    }
    Ok(versions)
}
