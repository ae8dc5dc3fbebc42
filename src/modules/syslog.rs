//! `syslog:` where a log's file is written: <https://nginx.org/en/docs/syslog.html>.

use std::sync::Arc;

use crate::conf::{Args, Ctx};
use crate::diag::Diagnostic;
use crate::log::{Syslog, SyslogServer};
use crate::upstream::{Address, UriPart, parse_url};

/// All of a configuration, to tell them where to complain.
#[derive(Default)]
pub(crate) struct Syslogs(pub(crate) Vec<Arc<Syslog>>);

/// The port where none is written.
const PORT: u16 = 514;

const FACILITIES: &[&str] = &[
    "kern", "user", "mail", "daemon", "auth", "intern", "lpr", "news", "uucp", "clock", "authpriv", "ftp", "ntp",
    "audit", "alert", "cron", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

const SEVERITIES: &[&str] = &["emerg", "alert", "crit", "error", "warn", "notice", "info", "debug"];

const LONGEST_TAG: usize = 32;

#[derive(Default)]
struct Given {
    server: Option<(SyslogServer, String)>,
    facility: Option<u8>,
    severity: Option<u8>,
    tag: Option<String>,
    nohostname: bool,
}

/// Reads the first argument where it begins with `syslog:`; `None` where it does not.
///
/// # Errors
/// nginx's sentences about the parameters.
pub(super) fn parse(args: &Args<'_>, ctx: &mut Ctx<'_>) -> Result<Option<Arc<Syslog>>, Diagnostic> {
    let text = args.text(1);
    let Some(parameters) = text.strip_prefix("syslog:") else { return Ok(None) };
    let fault = |message: String| args.error(1, "invalid-syslog", message);
    let mut given = Given::default();
    for parameter in parameters.split(',') {
        given.read(parameter, ctx).map_err(fault)?;
    }
    let (server, name) = given.server.ok_or_else(|| fault("no syslog server specified".into()))?;
    let mut syslog = Syslog::new(server, name);
    syslog.facility = given.facility.unwrap_or(syslog.facility);
    syslog.severity = given.severity.unwrap_or(syslog.severity);
    syslog.tag = given.tag.unwrap_or(syslog.tag);
    syslog.nohostname = given.nohostname;
    let syslog = Arc::new(syslog);
    ctx.collected::<Syslogs>().0.push(syslog.clone());
    Ok(Some(syslog))
}

impl Given {
    fn read(&mut self, parameter: &str, ctx: &mut Ctx<'_>) -> Result<(), String> {
        if let Some(text) = parameter.strip_prefix("server=") {
            once(&mut self.server, "server")?;
            self.server = Some(server(text, ctx)?);
        } else if let Some(name) = parameter.strip_prefix("facility=") {
            once(&mut self.facility, "facility")?;
            self.facility = Some(number(FACILITIES, "facility", name)?);
        } else if let Some(name) = parameter.strip_prefix("severity=") {
            once(&mut self.severity, "severity")?;
            self.severity = Some(number(SEVERITIES, "severity", name)?);
        } else if let Some(text) = parameter.strip_prefix("tag=") {
            once(&mut self.tag, "tag")?;
            self.tag = Some(tag(text)?);
        } else if parameter == "nohostname" {
            self.nohostname = true;
        } else {
            return Err(format!("unknown syslog parameter \"{parameter}\""));
        }
        Ok(())
    }
}

fn once<T>(field: &mut Option<T>, what: &str) -> Result<(), String> {
    if field.is_some() { Err(format!("duplicate syslog \"{what}\"")) } else { Ok(()) }
}

fn number(names: &[&str], what: &str, name: &str) -> Result<u8, String> {
    let at = names.iter().position(|known| *known == name).and_then(|at| u8::try_from(at).ok());
    at.ok_or_else(|| format!("unknown syslog {what} \"{name}\""))
}

fn tag(text: &str) -> Result<String, String> {
    if text.len() > LONGEST_TAG {
        return Err("syslog tag length exceeds 32".into());
    }
    if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return Err("syslog \"tag\" only allows alphanumeric characters and underscore".into());
    }
    Ok(text.into())
}

fn server(text: &str, ctx: &mut Ctx<'_>) -> Result<(SyslogServer, String), String> {
    let fault = |what: &str| format!("{what} in syslog server \"{text}\"");
    let url = parse_url(text.as_bytes(), PORT, UriPart::Refused).map_err(fault)?;
    let address = match url.address {
        Some(address) => address,
        None => {
            let found = ctx.resources.host(url.host).ok_or_else(|| fault("host not found"))?;
            let first = found.first().ok_or_else(|| fault("host not found"))?;
            Address::Tcp((*first, url.port).into())
        }
    };
    let name = String::from_utf8_lossy(&address.name()).into_owned();
    Ok(match address {
        Address::Tcp(address) => (SyslogServer::Udp(address), name),
        Address::Unix(address) => (SyslogServer::Unix(address), name),
    })
}
