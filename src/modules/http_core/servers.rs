//! Servers, their locations and the addresses they share, put together when all blocks have been read.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use super::listen::{ListenConf, implied};
use super::server_name::NameKind;
use super::{Conf, listen};
use crate::conf::{Ctx, NodeId, NodeKind};
use crate::diag::Diagnostic;
use crate::http::{
    Listen, ListenAddress, LocationId, LocationKind, LocationTree, LocationTreeParts, Server, ServerId, VirtualServers,
};

/// All server blocks in the order written.
#[derive(Default)]
pub(super) struct Servers(pub(super) Vec<NodeId>);

/// The server blocks in the order written.
pub fn servers(ctx: &mut Ctx<'_>) -> Vec<NodeId> {
    ctx.collected::<Servers>().0.clone()
}

/// Builds one server, its base location excepted.
pub fn build_server(ctx: &Ctx<'_>, node: NodeId) -> Server {
    let conf = ctx.conf_at::<Conf>(node);
    let named = conf.locations.iter().filter_map(|id| match ctx.kind(*id) {
        NodeKind::Location(name) if name.kind == LocationKind::Named => Some((name.name.clone(), LocationId(id.0))),
        _ => None,
    });
    Server {
        name: conf.names.first().map(|first| shown_name(&first.name)).unwrap_or_default(),
        base: LocationId(node.0),
        named: named.collect(),
        client_header_timeout: conf.client_header_timeout.unwrap_or(super::resolved::MINUTE),
        client_header_buffer_size: conf.client_header_buffer_size.unwrap_or(1024),
        large_client_header_buffers: conf.large_client_header_buffers.unwrap_or((4, 8192)),
        ignore_invalid_headers: conf.ignore_invalid_headers.unwrap_or(true),
        underscores_in_headers: conf.underscores_in_headers.unwrap_or(false),
        merge_slashes: conf.merge_slashes.unwrap_or(true),
        http2: conf.http2.unwrap_or(false),
    }
}

/// `$server_name` of `.example.com` is `example.com`.
fn shown_name(name: &Bytes) -> Bytes {
    if name.starts_with(b".") { name.slice(1..) } else { name.clone() }
}

/// Sorts the locations of a block; two of one name are an error.
pub fn location_tree(ctx: &mut Ctx<'_>, node: NodeId) -> LocationTree {
    let mut parts = LocationTreeParts::default();
    let mut seen: HashMap<(bool, Bytes), NodeId> = HashMap::new();
    let mut duplicates = Vec::new();
    for id in &ctx.conf_at::<Conf>(node).locations {
        let NodeKind::Location(name) = ctx.kind(*id) else { continue };
        let location = LocationId(id.0);
        let class = match name.kind {
            LocationKind::Regex => {
                parts.regexes.extend(name.regex.clone().map(|regex| (regex, location)));
                continue;
            }
            LocationKind::Exact => {
                parts.exact.insert(name.name.clone(), location);
                0
            }
            LocationKind::Named => 1,
            _ => {
                parts.prefixes.push((name.name.clone(), location));
                2
            }
        };
        if class != 1 && name.name.ends_with(b"/") && ctx.conf_at::<Conf>(*id).auto_redirect {
            parts.auto_redirect.push((name.name.clone(), location));
        }
        let key = Bytes::from([&[class], &name.name[..]].concat());
        if let Some(first) = seen.insert((true, key), *id) {
            duplicates.push((*id, first));
        }
    }
    for (id, first) in duplicates {
        let NodeKind::Location(name) = ctx.kind(id) else { continue };
        let at = if name.kind == LocationKind::Named { "@" } else { "" };
        let message = format!("duplicate location \"{at}{}\"", String::from_utf8_lossy(&name.name));
        let diagnostic = Diagnostic::error("duplicate-location", message).at(ctx.place(id));
        ctx.complain(diagnostic.related(ctx.place(first), "the first one is here"));
    }
    LocationTree::new(parts)
}

/// One address with the servers on it.
struct Address {
    listen: ListenConf,
    default: Option<(ServerId, crate::diag::Span)>,
    servers: Vec<(ServerId, NodeId)>,
}

/// Groups the servers by the addresses that they listen on.
pub fn build_listens(ctx: &mut Ctx<'_>) -> Vec<Listen> {
    let addresses = collect_addresses(ctx);
    let (wild, exact): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| wildcard_port(address).is_some());
    let mut listens: Vec<Listen> = Vec::new();
    let mut wildcards: HashMap<(bool, u16), usize> = HashMap::new();
    for address in wild {
        wildcards.extend(wildcard_port(&address).map(|key| (key, listens.len())));
        let servers = virtual_servers(ctx, &address);
        listens.push(Listen { spec: address.listen.spec, by_address: Vec::new(), servers });
    }
    for address in exact {
        let servers = virtual_servers(ctx, &address);
        match covered(&address, &wildcards) {
            Some((listen, ip)) => listens[listen].by_address.push((ip, servers)),
            None => listens.push(Listen { spec: address.listen.spec, by_address: Vec::new(), servers }),
        }
    }
    listens
}

/// Whether it takes all addresses of a port: IPv6 or not, and the port.
fn wildcard_port(address: &Address) -> Option<(bool, u16)> {
    match &address.listen.spec.address {
        ListenAddress::Tcp(tcp) if tcp.ip().is_unspecified() => Some((tcp.is_ipv6(), tcp.port())),
        _ => None,
    }
}

/// nginx opens no socket of its own for an address whose port a wildcard has, unless it is told how to.
fn covered(address: &Address, wildcards: &HashMap<(bool, u16), usize>) -> Option<(usize, IpAddr)> {
    let ListenAddress::Tcp(tcp) = &address.listen.spec.address else { return None };
    if address.listen.sets_options {
        return None;
    }
    let found = wildcards.get(&(tcp.is_ipv6(), tcp.port()))?;
    Some((*found, SocketAddr::ip(tcp)))
}

fn collect_addresses(ctx: &mut Ctx<'_>) -> Vec<Address> {
    let mut addresses: Vec<Address> = Vec::new();
    let mut faults = Vec::new();
    for (number, node) in servers(ctx).into_iter().enumerate() {
        let id = ServerId(u32::try_from(number).expect("fewer servers than bytes in a file"));
        let conf = ctx.conf_at::<Conf>(node);
        let implied = [implied(ctx.resources.superuser(), ctx.place(node))];
        let listens: &[listen::ListenConf] = if conf.listens.is_empty() { &implied } else { &conf.listens };
        for listen in listens {
            match addresses.iter_mut().find(|address| address.listen.spec.address == listen.spec.address) {
                Some(address) => faults.extend(join(address, listen, id, node)),
                None => addresses.push(Address {
                    listen: listen.clone(),
                    default: listen.default_server.then_some((id, listen.at)),
                    servers: vec![(id, node)],
                }),
            }
        }
    }
    faults.into_iter().for_each(|fault| ctx.complain(fault));
    addresses
}

/// A further server on an address.
fn join(address: &mut Address, listen: &ListenConf, id: ServerId, node: NodeId) -> Option<Diagnostic> {
    address.servers.push((id, node));
    if listen.sets_options {
        if address.listen.sets_options {
            let message = format!("duplicate listen options for {}", listen.spec.text);
            return Some(Diagnostic::error("duplicate-listen", message).at(listen.at));
        }
        let http2 = address.listen.spec.http2 || listen.spec.http2;
        address.listen.spec = listen.spec.clone();
        address.listen.spec.http2 = http2;
        address.listen.sets_options = true;
    }
    address.listen.spec.http2 |= listen.spec.http2;
    if !listen.default_server {
        return None;
    }
    match address.default {
        Some((_, first)) => {
            let message = format!("a duplicate default server for {}", listen.spec.text);
            let diagnostic = Diagnostic::error("duplicate-default-server", message).at(listen.at);
            Some(diagnostic.related(first, "the first one is here"))
        }
        None => {
            address.default = Some((id, listen.at));
            None
        }
    }
}

fn virtual_servers(ctx: &mut Ctx<'_>, address: &Address) -> VirtualServers {
    let (first, first_node) = address.servers[0];
    let default = address.default.map_or(first, |(id, _)| id);
    let default_node = address.servers.iter().find(|(id, _)| *id == default).map_or(first_node, |(_, node)| *node);
    let mut servers = VirtualServers::single(default);
    servers.http2 = address.listen.spec.http2 || ctx.conf_at::<Conf>(default_node).http2.unwrap_or(false);
    let mut faults = Vec::new();
    for (id, node) in &address.servers {
        for name in &ctx.conf_at::<Conf>(*node).names {
            let text = String::from_utf8_lossy(&name.name);
            let mut insert = |map: fn(&mut VirtualServers) -> &mut HashMap<Box<[u8]>, ServerId>, key: &[u8]| {
                let map = map(&mut servers);
                if map.contains_key(key) {
                    let message =
                        format!("conflicting server name \"{text}\" on {}, ignored", address.listen.spec.text);
                    faults.push(Diagnostic::warning("conflicting-name", message).at(name.at));
                } else {
                    map.insert(key.into(), *id);
                }
            };
            match &name.kind {
                NameKind::Exact => insert(|s| &mut s.exact, &name.name),
                NameKind::Head { key, bare } => {
                    insert(|s| &mut s.heads, key);
                    if *bare {
                        insert(|s| &mut s.exact, &key[1..]);
                    }
                }
                NameKind::Tail { key } => insert(|s| &mut s.tails, key),
                NameKind::Regex(regex) => servers.regexes.push((regex.clone(), *id)),
                NameKind::Broken => {
                    let message = format!("invalid server name or wildcard \"{text}\" on {}", address.listen.spec.text);
                    faults.push(Diagnostic::error("invalid-name", message).at(name.at));
                }
            }
        }
    }
    faults.into_iter().for_each(|fault| ctx.complain(fault));
    servers
}

/// `limit_except` of a block: the methods excepted, and the block that others meet.
pub fn limit_except(ctx: &Ctx<'_>, node: NodeId) -> Option<(u32, NodeId)> {
    ctx.conf_at::<Conf>(node).limit_except
}

/// Notes that the current location passes requests on: `/x` is redirected to `/x/` where only the latter is one.
pub fn passes_requests_on(ctx: &mut Ctx<'_>) {
    let current = ctx.current();
    ctx.conf_at_mut::<Conf>(current).auto_redirect = true;
}
