//! The servers of an address by name.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::ports::{Address, speaks_http2};
use super::server_name::{NameKind, ServerName};
use super::servers::servers;
use super::{Conf, server_name};
use crate::conf::{Ctx, NodeId};
use crate::diag::Diagnostic;
use crate::http::{ServerId, VirtualServers};

/// Puts the names of an address together. nginx looks at names only where there is something to choose: a name that
/// is wrong, or there twice, goes unnoticed in the only server of an address.
pub(super) fn virtual_servers(ctx: &mut Ctx<'_>, address: &Address) -> VirtualServers {
    let servers = servers(ctx);
    let number = |node: NodeId| {
        let at = servers.iter().position(|server| *server == node).expect("a server is listed when its block ends");
        ServerId(u32::try_from(at).expect("fewer servers than bytes in a file"))
    };
    let mut found = VirtualServers::single(number(address.default));
    found.http2 = speaks_http2(ctx, address);
    if address.servers.len() == 1 && !server_name::captures(&ctx.conf_at::<Conf>(address.default).names) {
        return found;
    }
    let mut builder = Builder { found, heads: HashSet::new(), reserved: HashSet::new(), faults: Vec::new() };
    let text = &address.listen.spec.text;
    for node in &address.servers {
        let id = number(*node);
        match &ctx.conf_at::<Conf>(*node).names[..] {
            [] => builder.add(&ServerName::none(ctx.place(*node)), id, text),
            names => names.iter().for_each(|name| builder.add(name, id, text)),
        }
    }
    if !ctx.has_failed() {
        builder.faults.into_iter().for_each(|fault| ctx.complain(fault));
    }
    builder.found
}

struct Builder {
    found: VirtualServers,
    /// `example.com` of `*.example.com` and of `.example.com`, which cannot stand beside each other.
    heads: HashSet<Bytes>,
    /// `example.com` of `.example.com`, which the exact name cannot stand beside.
    reserved: HashSet<Bytes>,
    faults: Vec<Diagnostic>,
}

impl Builder {
    fn add(&mut self, name: &ServerName, id: ServerId, address: &str) {
        let fresh = match &name.kind {
            NameKind::Regex(regex) => {
                self.found.regexes.push((regex.clone(), id));
                true
            }
            NameKind::Exact => !self.reserved.contains(&name.name) && insert(&mut self.found.exact, &name.name, id),
            NameKind::Head { key, bare } => self.add_head(key, *bare, id),
            NameKind::Tail { key } => insert(&mut self.found.tails, key, id),
            NameKind::Broken => {
                let text = String::from_utf8_lossy(&name.name);
                let message = format!("invalid server name or wildcard \"{text}\" on {address}");
                self.faults.push(Diagnostic::error("invalid-name", message).at(name.at).after_reading());
                true
            }
        };
        if !fresh {
            let text = String::from_utf8_lossy(&name.name);
            let message = format!("conflicting server name \"{text}\" on {address}, ignored");
            self.faults.push(Diagnostic::warning("conflicting-name", message).at(name.at).after_reading());
        }
    }

    /// `*.x` and `.x`; the key is `.x`.
    fn add_head(&mut self, key: &Bytes, bare: bool, id: ServerId) -> bool {
        let plain = key.slice(1..);
        if bare && (self.found.exact.contains_key(&plain[..]) || !self.reserved.insert(plain.clone())) {
            return false;
        }
        if !self.heads.insert(plain.clone()) {
            return false;
        }
        self.found.heads.insert(key[..].into(), id);
        if bare {
            self.found.exact.insert(plain[..].into(), id);
        }
        true
    }
}

fn insert(map: &mut HashMap<Box<[u8]>, ServerId>, key: &[u8], id: ServerId) -> bool {
    if map.contains_key(key) {
        return false;
    }
    map.insert(key.into(), id);
    true
}
