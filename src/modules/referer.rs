//! `valid_referers`: where a request may come from. <https://nginx.org/en/docs/http/ngx_http_referer_module.html>

use std::sync::Arc;

use bytes::Bytes;

use super::http_core;
use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult};
use crate::diag::Diagnostic;
use crate::http::{HeaderId, HostFault, HostTable, Regex, Request, VariableDef};

/// `ngx_http_referer_module`.
pub struct Referer;

/// The referers of one block.
#[derive(Default)]
pub struct Conf {
    hosts: Option<Arc<Hosts>>,
    regexes: Option<Vec<Arc<Regex>>>,
}

/// What does not come piece by piece from the block around.
#[derive(Clone, Default)]
struct Hosts {
    none: bool,
    blocked: bool,
    server_names: bool,
    /// How the path must begin, by host.
    paths: HostTable<Bytes>,
}

impl Module for Referer {
    type Conf = Conf;
    const NAME: &'static str = "http_referer";
    const COMMANDS: &'static [Command<Conf>] = &[Command::custom("valid_referers", add_referers)];
    const VARIABLES: &'static [VariableDef] = &[VariableDef::new("invalid_referer", is_invalid).cached().changeable()];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.hosts.inherit(&parent.hosts);
        conf.regexes.inherit(&parent.regexes);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let Some(hosts) = &conf.hosts else { return };
        match Valid::new(hosts, conf.regexes.as_deref().unwrap_or_default(), location) {
            Ok(valid) => location.extensions.insert(valid),
            Err(diagnostic) => location.complain(diagnostic),
        }
    }
}

fn add_referers(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let hosts = Arc::make_mut(c.hosts.get_or_insert_default());
    for index in 1..args.len() {
        match args.value(index) {
            b"" => return Err(args.error(index, "invalid-referer", "invalid referer \"\"")),
            b"none" => hosts.none = true,
            b"blocked" => hosts.blocked = true,
            b"server_names" => hosts.server_names = true,
            b"~" => return Err(args.error(index, "invalid-referer", "empty regex in \"~\"")),
            [b'~', pattern @ ..] => {
                let regex = Arc::new(ctx.regex(args.word(index), pattern, true)?);
                c.regexes.get_or_insert_default().push(regex);
            }
            text => {
                let (host, path) = text.split_at(memchr::memchr(b'/', text).unwrap_or(text.len()));
                hosts.add(host, path).map_err(|diagnostic| diagnostic.at(args.word(index).span))?;
            }
        }
    }
    Ok(())
}

impl Hosts {
    fn add(&mut self, host: &[u8], path: &[u8]) -> Result<(), Diagnostic> {
        let shown = String::from_utf8_lossy(host);
        self.paths.insert(host, Bytes::copy_from_slice(path)).map_err(|fault| match fault {
            HostFault::Invalid => {
                Diagnostic::error("invalid-referer", format!("invalid hostname or wildcard \"{shown}\""))
            }
            HostFault::Conflict => {
                Diagnostic::error("conflicting-parameter", format!("conflicting parameter \"{shown}\""))
            }
        })
    }
}

/// The referers of a location.
struct Valid {
    none: bool,
    blocked: bool,
    paths: HostTable<Bytes>,
    /// Compared with the host.
    server_names: Vec<Arc<Regex>>,
    /// Compared with everything behind the scheme.
    regexes: Vec<Arc<Regex>>,
}

impl Valid {
    fn new(hosts: &Hosts, regexes: &[Arc<Regex>], location: &LocationBuilder<'_, '_>) -> Result<Self, Diagnostic> {
        let mut hosts = hosts.clone();
        let mut server_names = Vec::new();
        if hosts.server_names {
            for (name, regex) in http_core::server_names(location.ctx, location.node) {
                match regex {
                    Some(regex) => server_names.push(regex),
                    None => hosts.add(&name, b"")?,
                }
            }
        }
        if (hosts.none || hosts.blocked) && hosts.paths.is_empty() {
            let message = "the \"none\" or \"blocked\" referers are specified in the \"valid_referers\" directive \
                           without any valid referer";
            return Err(Diagnostic::error("no-valid-referer", message).after_reading());
        }
        let (none, blocked) = (hosts.none, hosts.blocked);
        Ok(Self { none, blocked, paths: hosts.paths, server_names, regexes: regexes.to_vec() })
    }

    fn takes(&self, referer: Option<&[u8]>) -> bool {
        if self.paths.is_empty() && self.server_names.is_empty() && self.regexes.is_empty() {
            return true;
        }
        let Some(referer) = referer else { return self.none };
        let Some(rest) = without_scheme(referer) else { return self.blocked };
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b':')).unwrap_or(rest.len());
        if end > LONGEST_HOST {
            return false;
        }
        let host = rest[..end].to_ascii_lowercase();
        if let Some(path) = self.paths.find(&host) {
            let slash = end + memchr::memchr(b'/', &rest[end..]).unwrap_or(rest.len() - end);
            return rest[slash..].starts_with(path);
        }
        let matches =
            |regexes: &[Arc<Regex>], text: &[u8]| regexes.iter().any(|regex| regex.is_match(text).unwrap_or(false));
        matches(&self.server_names, &host) || matches(&self.regexes, rest)
    }
}

const LONGEST_HOST: usize = 256;

fn without_scheme(referer: &[u8]) -> Option<&[u8]> {
    if referer.len() < b"http://i.ru".len() {
        return None;
    }
    [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (start, rest) = referer.split_at(scheme.len());
        start.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// `$invalid_referer`: `1`, or empty.
fn is_invalid(r: &Request, out: &mut Vec<u8>) -> bool {
    let Some(valid) = r.location().extensions.get::<Valid>() else { return true };
    if !valid.takes(r.header(HeaderId::Referer).as_deref()) {
        out.push(b'1');
    }
    true
}
