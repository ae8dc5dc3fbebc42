//! Addresses that servers share: put together while the blocks are read, opened as nginx would open them.

use std::net::{IpAddr, SocketAddr};

use super::listen::ListenConf;
use super::servers::servers;
use super::{Conf, names};
use crate::conf::{Ctx, NodeId};
use crate::diag::{Diagnostic, Span};
use crate::http::{Listen, ListenAddress, ListenSpec};

/// All ports in the order written.
#[derive(Default)]
struct Ports(Vec<Port>);

/// A port of IPv4 or of IPv6, or all UNIX sockets.
struct Port {
    key: Option<(bool, u16)>,
    addresses: Vec<Address>,
}

/// One address with the servers on it.
#[derive(Clone)]
pub(super) struct Address {
    pub(super) listen: ListenConf,
    /// Who answers for names that nobody has.
    pub(super) default: NodeId,
    /// The first `default_server`.
    claimed: Option<Span>,
    pub(super) servers: Vec<NodeId>,
    /// The `listen` of each of them.
    places: Vec<Span>,
    protocols: Protocols,
}

/// nginx's memory of which of `proxy_protocol`, `ssl` and `http2` were written for an address.
#[derive(Clone, Copy, Default)]
struct Protocols {
    seen: Option<u8>,
    changed: bool,
}

/// Adds a `listen` of a server block.
///
/// # Errors
/// nginx's sentences about duplicates. A warning may be given else.
pub(super) fn add(ctx: &mut Ctx<'_>, server: NodeId, listen: ListenConf) -> Result<Option<Diagnostic>, Diagnostic> {
    let key = port_key(&listen.spec.address);
    let ports = &mut ctx.collected::<Ports>().0;
    let at = ports.iter().position(|port| port.key == key).unwrap_or_else(|| {
        ports.push(Port { key, addresses: Vec::new() });
        ports.len() - 1
    });
    let addresses = &mut ports[at].addresses;
    match addresses.iter_mut().find(|address| address.listen.spec.address == listen.spec.address) {
        None => {
            let claimed = listen.default_server.then_some(listen.at);
            let (servers, places, protocols) = (vec![server], vec![listen.at], Protocols::default());
            addresses.push(Address { listen, default: server, claimed, servers, places, protocols });
            Ok(None)
        }
        Some(address) => address.join(listen, server),
    }
}

fn port_key(address: &ListenAddress) -> Option<(bool, u16)> {
    match address {
        ListenAddress::Tcp(address) => Some((address.is_ipv6(), address.port())),
        ListenAddress::Unix(_) => None,
    }
}

impl Address {
    /// A further server on an address; gives a warning.
    fn join(&mut self, listen: ListenConf, server: NodeId) -> Result<Option<Diagnostic>, Diagnostic> {
        let fault = |code, message: String| Diagnostic::error(code, message).at(listen.at);
        let text = &self.listen.spec.text;
        // Servers are read one after another.
        if self.servers.last() == Some(&server) {
            return Err(fault("duplicate-listen", format!("a duplicate listen {text}")));
        }
        if listen.sets_options && self.listen.sets_options {
            let fault = fault("duplicate-listen", format!("duplicate listen options for {text}"));
            return Err(fault.related(self.listen.at, "options are given here already"));
        }
        if listen.default_server
            && let Some(first) = self.claimed
        {
            let fault = fault("duplicate-default-server", format!("a duplicate default server for {text}"));
            return Err(fault.related(first, "the first one is here"));
        }
        self.servers.push(server);
        self.places.push(listen.at);
        let warning = self.settle_protocols(&listen);
        if listen.default_server {
            self.claimed = Some(listen.at);
            self.default = server;
        }
        let http2 = self.listen.spec.http2 || listen.spec.http2;
        let ssl = self.listen.spec.ssl || listen.spec.ssl;
        let proxy_protocol = self.listen.spec.proxy_protocol || listen.spec.proxy_protocol;
        if listen.sets_options {
            self.listen = listen;
        }
        self.listen.spec.http2 = http2;
        self.listen.spec.ssl = ssl;
        self.listen.spec.proxy_protocol = proxy_protocol;
        Ok(warning)
    }

    /// Warns where a later `listen` is written with other protocols than an earlier one, in the cases in which
    /// nginx does.
    fn settle_protocols(&mut self, listen: &ListenConf) -> Option<Diagnostic> {
        let bits =
            |spec: &ListenSpec| u8::from(spec.proxy_protocol) | u8::from(spec.ssl) << 1 | u8::from(spec.http2) << 2;
        let (new, old) = (bits(&listen.spec), bits(&self.listen.spec));
        let differs = self.protocols.seen.is_some_and(|seen| seen != new);
        let options_stay = self.listen.sets_options && !listen.sets_options;
        let (redefined, seen, changed) = if new & !old != 0 {
            (options_stay || self.protocols.changed || old & !new != 0, old, true)
        } else if old & !new != 0 {
            (listen.sets_options || differs, new, true)
        } else {
            (listen.sets_options && self.protocols.changed || differs, new, self.protocols.changed)
        };
        self.protocols = Protocols { seen: Some(seen), changed };
        let message = || format!("protocol options redefined for {}", self.listen.spec.text);
        redefined.then(|| Diagnostic::warning("redefined-protocols", message()).at(listen.at))
    }

    fn is_wildcard(&self) -> bool {
        matches!(self.listen.spec.address, ListenAddress::Tcp(address) if address.ip().is_unspecified())
    }

    fn ip(&self) -> Option<IpAddr> {
        match &self.listen.spec.address {
            ListenAddress::Tcp(address) => Some(SocketAddr::ip(address)),
            ListenAddress::Unix(_) => None,
        }
    }
}

/// An address that is encrypted.
pub struct EncryptedAddress {
    /// Who answers for names that nobody has.
    pub default: NodeId,
    /// All servers on it.
    pub servers: Vec<NodeId>,
    /// The `listen` of each of them.
    pub places: Vec<Span>,
    /// `http2` stands on a `listen` of it.
    pub http2: bool,
}

/// The addresses with `ssl`.
pub fn encrypted_addresses(ctx: &mut Ctx<'_>) -> Vec<EncryptedAddress> {
    let addresses = ctx.collected::<Ports>().0.iter().flat_map(|port| &port.addresses);
    let encrypted = addresses.filter(|address| address.listen.spec.ssl);
    let of = |address: &Address| EncryptedAddress {
        default: address.default,
        servers: address.servers.clone(),
        places: address.places.clone(),
        http2: address.listen.spec.http2,
    };
    encrypted.map(of).collect()
}

/// Whether a server speaks HTTP/2 wherever it is.
pub fn server_speaks_http2(ctx: &Ctx<'_>, server: NodeId) -> bool {
    ctx.conf_at::<Conf>(server).http2.unwrap_or(false)
}

/// The sockets to open, each with its servers.
pub fn build_listens(ctx: &mut Ctx<'_>) -> Vec<Listen> {
    let ports = std::mem::take(&mut ctx.collected::<Ports>().0);
    let servers = servers(ctx);
    ports.into_iter().flat_map(|port| sockets(ctx, port.addresses, &servers)).collect()
}

/// The sockets of a port: nginx opens none of its own for an address whose port a wildcard has, unless it is told
/// how to.
fn sockets(ctx: &mut Ctx<'_>, mut addresses: Vec<Address>, servers: &[NodeId]) -> Vec<Listen> {
    addresses.sort_by_key(|address| match address {
        address if address.is_wildcard() => 2,
        address if address.listen.sets_options => 0,
        _ => 1,
    });
    let all_at_once = addresses.last().is_some_and(Address::is_wildcard);
    let mut listens = Vec::new();
    let mut by_address = Vec::new();
    for address in addresses {
        let servers = names::virtual_servers(ctx, &address, servers);
        let shares = all_at_once && !address.is_wildcard() && !address.listen.sets_options;
        match address.ip().filter(|_| shares) {
            Some(ip) => by_address.push((ip, servers)),
            None => {
                let by_address = if address.is_wildcard() { std::mem::take(&mut by_address) } else { Vec::new() };
                listens.push(Listen { spec: address.listen.spec, by_address, servers });
            }
        }
    }
    listens
}

/// Whether the default server of an address, or the address, speaks HTTP/2.
pub(super) fn speaks_http2(ctx: &Ctx<'_>, address: &Address) -> bool {
    address.listen.spec.http2 || ctx.conf_at::<Conf>(address.default).http2.unwrap_or(false)
}
