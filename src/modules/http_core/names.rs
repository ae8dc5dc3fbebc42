//! The servers of an address by name.

use super::hashes::ServerNames;
use super::ports::{Address, speaks_http2};
use super::server_name::ServerName;
use super::{Conf, server_name};
use crate::conf::{Ctx, NodeId};
use crate::diag::Diagnostic;
use crate::http::{HostFault, ServerId, VirtualServers};

/// Puts the names of an address together. nginx looks at names only where there is something to choose: a name that
/// is wrong, or there twice, goes unnoticed in the only server of an address. `servers` are those of all addresses.
pub(super) fn virtual_servers(ctx: &mut Ctx<'_>, address: &Address, servers: &[NodeId]) -> VirtualServers {
    let number = |node: NodeId| {
        let at = servers.binary_search(&node).expect("a server is listed when its block ends, in the order written");
        ServerId(u32::try_from(at).expect("fewer servers than bytes in a file"))
    };
    let mut found = VirtualServers::single(number(address.default));
    found.http2 = speaks_http2(ctx, address);
    found.http2_address = address.listen.spec.http2;
    found.ssl = address.listen.spec.ssl;
    found.proxy_protocol = address.listen.spec.proxy_protocol;
    if address.servers.len() == 1 && !server_name::captures(&ctx.conf_at::<Conf>(address.default).names) {
        return found;
    }
    let mut builder = Builder { found, faults: Vec::new() };
    let text = &address.listen.spec.text;
    for node in &address.servers {
        let id = number(*node);
        match &ctx.conf_at::<Conf>(*node).names[..] {
            [] => builder.add(&ServerName::none(ctx.place(*node)), id, text),
            names => names.iter().for_each(|name| builder.add(name, id, text)),
        }
    }
    let is_name = |node: &NodeId| {
        let names = &ctx.conf_at::<Conf>(*node).names;
        names.is_empty() || names.iter().any(|name| name.regex.is_none())
    };
    if address.servers.iter().any(is_name) {
        let fault = ctx.collected::<ServerNames>().0.take();
        builder.faults.extend(fault);
    }
    if !ctx.has_failed() {
        builder.faults.into_iter().for_each(|fault| ctx.complain(fault));
    }
    builder.found
}

struct Builder {
    found: VirtualServers,
    faults: Vec<Diagnostic>,
}

impl Builder {
    fn add(&mut self, name: &ServerName, id: ServerId, address: &str) {
        if let Some(regex) = &name.regex {
            self.found.regexes.push((regex.clone(), id));
            return;
        }
        let text = String::from_utf8_lossy(&name.name);
        let fault = match self.found.names.insert(&name.name, id) {
            Ok(()) => return,
            Err(HostFault::Invalid) => {
                Diagnostic::error("invalid-name", format!("invalid server name or wildcard \"{text}\" on {address}"))
            }
            Err(HostFault::Conflict) => {
                let message = format!("conflicting server name \"{text}\" on {address}, ignored");
                Diagnostic::warning("conflicting-name", message)
            }
        };
        self.faults.push(fault.at(name.at).after_reading());
    }
}
