//! What a configuration without TLS may say about TLS: Debian's `nginx.conf` names protocols for all servers.
//! <https://nginx.org/en/docs/http/ngx_http_ssl_module.html>

use crate::conf::{Args, Command, Ctx, Module, SetResult};
use crate::diag::Diagnostic;

/// `ngx_http_ssl_module`, as far as it means something where no server listens with `ssl`.
pub struct HttpSsl;

/// Nothing is kept: `listen … ssl` is refused, so nothing would use it.
#[derive(Default)]
pub struct Conf;

impl Module for HttpSsl {
    type Conf = Conf;
    const NAME: &'static str = "http_ssl";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("ssl_protocols", unused),
        Command::custom("ssl_prefer_server_ciphers", unused),
        Command::custom("ssl_ciphers", unused),
    ];
}

/// Said once: the first of them speaks for the others.
#[derive(Default)]
struct Said(bool);

fn unused(_c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    if !std::mem::replace(&mut ctx.collected::<Said>().0, true) {
        let message =
            format!("\"{}\" has no effect: rnginx does not run TLS yet, and no server asks for it", args.name());
        ctx.complain_in(args.directive(), Diagnostic::note("no-tls", message));
    }
    Ok(())
}
