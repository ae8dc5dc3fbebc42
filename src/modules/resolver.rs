//! `resolver` and `resolver_timeout`: how names are resolved while running.
//! <https://nginx.org/en/docs/http/ngx_http_core_module.html#resolver>

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, assign};
use crate::diag::Diagnostic;
use crate::schema::value;
use crate::upstream::{Address, Resolver, UriPart, parse_url};

/// The directives about names in `ngx_http_core_module`.
pub struct Resolvers;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    resolver: Option<Arc<Resolver>>,
    timeout: Option<Duration>,
}

/// How names are resolved in a location.
pub struct NameService {
    /// Whom to ask.
    pub resolver: Arc<Resolver>,
    /// How long to wait; zero is for ever.
    pub timeout: Duration,
}

/// `resolver_timeout` where nobody says.
pub const TIMEOUT: Duration = Duration::from_secs(30);

impl Module for Resolvers {
    type Conf = Conf;
    const NAME: &'static str = "http_core";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("resolver", |c, args, ctx| assign(&mut c.resolver, args, || Ok(Arc::new(read(args, ctx)?)))),
        Command::msec("resolver_timeout", |c| &mut c.timeout),
    ];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.resolver.inherit(&parent.resolver);
        conf.timeout.inherit(&parent.timeout);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if let Some(resolver) = conf.resolver.clone() {
            location.extensions.insert(NameService { resolver, timeout: conf.timeout.unwrap_or(TIMEOUT) });
        }
    }
}

impl Conf {
    /// `resolver`
    pub fn resolver(&self) -> Option<&Arc<Resolver>> {
        self.resolver.as_ref()
    }

    /// `resolver_timeout`
    pub fn timeout(&self) -> Option<Duration> {
        self.timeout
    }
}

/// Reads a `resolver`.
///
/// # Errors
/// nginx's sentences about parameters and addresses.
pub fn read(args: &Args<'_>, ctx: &mut Ctx<'_>) -> Result<Resolver, Diagnostic> {
    let mut resolver = Resolver { servers: Vec::new(), valid: None, ipv4: true, ipv6: true, next: 0.into() };
    for index in 1..args.len() {
        let text = args.value(index);
        let invalid = || {
            let message = format!("invalid parameter: {}", args.text(index));
            args.error(index, "invalid-parameter", message)
        };
        let flag = |text: &[u8]| match text {
            b"on" => Ok(true),
            b"off" => Ok(false),
            _ => Err(invalid()),
        };
        if let Some(time) = text.strip_prefix(b"valid=") {
            let seconds = value::sec(time).ok_or_else(invalid)?.as_secs();
            resolver.valid = i64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
        } else if let Some(text) = text.strip_prefix(b"ipv4=") {
            resolver.ipv4 = flag(text)?;
        } else if let Some(text) = text.strip_prefix(b"ipv6=") {
            resolver.ipv6 = flag(text)?;
        } else {
            add_server(args, index, &mut resolver, ctx)?;
        }
    }
    let fault = |message: &str| Err(args.error(0, "resolver", message));
    if !resolver.ipv4 && !resolver.ipv6 {
        return fault("\"ipv4\" and \"ipv6\" cannot both be \"off\"");
    }
    if resolver.servers.is_empty() {
        return fault("no name servers defined");
    }
    Ok(resolver)
}

fn add_server(args: &Args<'_>, index: usize, resolver: &mut Resolver, ctx: &mut Ctx<'_>) -> Result<(), Diagnostic> {
    const PORT: u16 = 53;
    let fault = |what: &str| {
        let message = format!("{what} in resolver \"{}\"", args.text(index));
        args.error(index, "resolver", message)
    };
    let url = parse_url(args.value(index), PORT, UriPart::Refused).map_err(fault)?;
    if let Some(address) = url.address {
        resolver.servers.push(address);
    } else {
        let found = ctx.resources.host(url.host).ok_or_else(|| fault("host not found"))?;
        resolver.servers.extend(found.into_iter().map(|ip| Address::Tcp(SocketAddr::new(ip, url.port))));
    }
    Ok(())
}
