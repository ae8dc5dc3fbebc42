//! Servers, their locations and the addresses they share, put together when all blocks have been read.

use std::collections::HashMap;

use bytes::Bytes;

use super::Conf;
use crate::conf::{Ctx, NodeId, NodeKind};
use crate::diag::{Diagnostic, Span};
use crate::http::{LocationId, LocationKind, LocationTree, LocationTreeParts, Server};

/// All server blocks in the order written, and where `http` ends.
#[derive(Default)]
pub(super) struct Servers {
    pub(super) nodes: Vec<NodeId>,
    pub(super) end: Option<Span>,
}

/// nginx's memory for a connection, where it is not written: a large buffer must not be smaller.
const POOL: usize = 512;

/// Checks what nginx checks at the end of `http`.
pub(super) fn check(ctx: &mut Ctx<'_>) {
    let too_small = servers(ctx).into_iter().find(|node| {
        let conf = ctx.conf_at::<Conf>(*node);
        let buffer = conf.large_client_header_buffers.map_or(8192, |(_, size)| size);
        buffer < conf.connection_pool_size.unwrap_or(POOL)
    });
    if let Some(node) = too_small {
        let message =
            "the \"large_client_header_buffers\" size must be equal to or greater than \"connection_pool_size\"";
        let fault = Diagnostic::error("small-buffers", message).at(ctx.place(node));
        let end = ctx.collected::<Servers>().end;
        ctx.complain(end.into_iter().fold(fault, Diagnostic::nginx_at));
    }
}

/// The server blocks in the order written.
pub fn servers(ctx: &mut Ctx<'_>) -> Vec<NodeId> {
    ctx.collected::<Servers>().nodes.clone()
}

/// Builds one server, its base location excepted.
pub fn build_server(ctx: &Ctx<'_>, node: NodeId) -> Server {
    let conf = ctx.conf_at::<Conf>(node);
    let mut named = HashMap::new();
    for id in &conf.locations {
        if let NodeKind::Location(name) = ctx.kind(*id)
            && name.kind == LocationKind::Named
        {
            // nginx takes the first of one name.
            named.entry(name.name.clone()).or_insert(LocationId(id.0));
        }
    }
    Server {
        name: conf.names.first().map(|first| shown_name(&first.name)).unwrap_or_default(),
        base: LocationId(node.0),
        named,
        client_header_timeout: conf.client_header_timeout.unwrap_or(super::resolved::MINUTE),
        client_header_buffer_size: conf.client_header_buffer_size.unwrap_or(1024),
        large_client_header_buffers: conf.large_client_header_buffers.unwrap_or((4, 8192)),
        ignore_invalid_headers: conf.ignore_invalid_headers.unwrap_or(true),
        underscores_in_headers: conf.underscores_in_headers.unwrap_or(false),
        merge_slashes: conf.merge_slashes.unwrap_or(true),
        http2: conf.http2.unwrap_or(false),
        http2_streams: conf.http2_streams.map_or(128, |count| u32::try_from(count).unwrap_or(u32::MAX)),
        http2_preread: conf.http2_preread.map_or(64 << 10, |size| u32::try_from(size).unwrap_or(u32::MAX)),
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
        let exact = match name.kind {
            LocationKind::Regex => {
                parts.regexes.extend(name.regex.clone().map(|regex| (regex, location)));
                continue;
            }
            LocationKind::Named => continue,
            LocationKind::Exact => {
                parts.exact.insert(name.name.clone(), location);
                true
            }
            _ => {
                parts.prefixes.push((name.name.clone(), location));
                false
            }
        };
        if name.name.ends_with(b"/") && ctx.conf_at::<Conf>(*id).auto_redirect {
            parts.auto_redirect.push((name.name.clone(), location));
        }
        if let Some(first) = seen.insert((exact, name.name.clone()), *id) {
            duplicates.push((*id, first));
        }
    }
    for (id, first) in duplicates {
        let NodeKind::Location(name) = ctx.kind(id) else { continue };
        let message = format!("duplicate location \"{}\"", String::from_utf8_lossy(&name.name));
        let diagnostic = Diagnostic::error("duplicate-location", message).at(ctx.place(id));
        ctx.complain(diagnostic.related(ctx.place(first), "the first one is here"));
    }
    LocationTree::new(parts)
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
