//! Ports: taken by somebody else, or below those that everybody may open.

use std::{io, net::SocketAddr};

use socket2::{Domain, Socket, Type};

use super::{Machine, access::Who};
use crate::{
    diag::{Diagnostic, Span},
    http::ListenAddress,
    syntax::Directive,
};

impl Machine<'_> {
    /// Tries each address for a moment.
    pub(super) fn ports(&mut self) {
        let Some(cycle) = self.look.cycle.clone() else { return };
        for listen in &cycle.listens {
            let ListenAddress::Tcp(address) = listen.spec.address else { continue };
            let Err(error) = open(address) else { continue };
            let text = &listen.spec.text;
            let port = address.port();
            let fault = match error.raw_os_error() {
                Some(libc::EADDRINUSE) => {
                    let message = format!("bind() to {text} would fail: the port is taken");
                    Diagnostic::warning("port-taken", message)
                        .help(format!("who has it says: ss -ltnp 'sport = :{port}'"))
                }
                Some(libc::EACCES) => {
                    let message = format!(
                        "bind() to {text} would fail for {}: ports below {} are for root",
                        Who::asking().name,
                        first_free()
                    );
                    let help = "run it as root, or: setcap cap_net_bind_service=+ep \"$(command -v rnginx)\"";
                    Diagnostic::warning("privileged-port", message).help(help)
                }
                Some(libc::EADDRNOTAVAIL) => {
                    let message = format!("bind() to {text} would fail: this machine has no such address");
                    Diagnostic::warning("foreign-address", message).help("the addresses that it has: ip address")
                }
                _ => {
                    let message = format!("bind() to {text} would fail: {}", super::reason(&error));
                    Diagnostic::warning("bind", message)
                }
            };
            let at = place(&self.look.loaded.root, port);
            self.found.push(match at {
                Some(at) => fault.at(at),
                None => fault,
            });
        }
    }
}

/// As the server opens it, and closed at once: nobody can connect meanwhile.
fn open(address: SocketAddr) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    // Two sockets that do not listen yet may share an address.
    socket.listen(1)
}

/// The first port that is not root's.
fn first_free() -> String {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    text.map_or_else(|_| "1024".into(), |text| text.trim().to_owned())
}

/// The `listen` that says this port.
fn place(directives: &[Directive], port: u16) -> Option<Span> {
    directives.iter().find_map(|directive| {
        let word = directive.args.first().filter(|_| *directive.name.value == *b"listen");
        let says = |text: &str| text.rsplit(':').next().is_some_and(|last| last.parse() == Ok(port));
        let at = word.filter(|word| says(&word.text())).map(|word| word.span);
        at.or_else(|| place(directive.children(), port))
    })
}
