//! The directives of a location with every default resolved.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::{Conf, types};
use crate::conf::{Ctx, NodeId, NodeKind};
use crate::http::{
    BodyInFile, CoreConf, IfModifiedSince, KeepaliveDisable, LingeringClose, LocationKind, Root, Script, ServerTokens,
    TempPath,
};
use crate::log::ErrorLog;

pub(super) const MINUTE: Duration = Duration::from_secs(60);

/// Resolves a block's values, which must be merged already.
pub fn resolve(ctx: &Ctx<'_>, node: NodeId, error_log: Arc<ErrorLog>) -> CoreConf {
    let conf = ctx.conf_at::<Conf>(node);
    let keepalive_timeout = conf.keepalive_timeout.unwrap_or(Duration::from_secs(75));
    CoreConf {
        root: conf.root.clone().unwrap_or_else(|| default_root(ctx)),
        alias_prefix: alias_prefix(ctx, conf.alias_node),
        types: conf.types.clone().unwrap_or_else(types::built_in),
        default_type: conf.default_type.clone().unwrap_or(Bytes::from_static(b"text/plain")),
        internal: conf.internal.unwrap_or(false),
        error_pages: conf.error_pages.as_slice().into(),
        error_log,
        client_max_body_size: conf.client_max_body_size.unwrap_or(1 << 20),
        client_body_buffer_size: conf.client_body_buffer_size.unwrap_or(2 * rustix::param::page_size()),
        client_body_timeout: conf.client_body_timeout.unwrap_or(MINUTE),
        client_body_temp_path: Arc::new(body_temp_path(ctx, conf)),
        client_body_in_file_only: conf.client_body_in_file_only.unwrap_or(BodyInFile::Off),
        keepalive_timeout,
        keepalive_header: conf.keepalive_header.unwrap_or(0),
        keepalive_requests: conf.keepalive_requests.unwrap_or(1000),
        keepalive_disable: conf.keepalive_disable.unwrap_or(KeepaliveDisable { msie6: true, safari: false }),
        keepalive_min_timeout: conf.keepalive_min_timeout.unwrap_or_default(),
        keepalive_time: conf.keepalive_time.unwrap_or(60 * MINUTE),
        send_timeout: conf.send_timeout.unwrap_or(MINUTE),
        sendfile: conf.sendfile.unwrap_or(false),
        sendfile_max_chunk: conf.sendfile_max_chunk.map_or(2 << 20, |size| size as u64),
        http2_chunk_size: conf.http2_chunk_size,
        tcp_nodelay: conf.tcp_nodelay.unwrap_or(true),
        auth_delay: conf.auth_delay.unwrap_or_default(),
        satisfy_any: conf.satisfy_any.unwrap_or(false),
        log_not_found: conf.log_not_found.unwrap_or(true),
        log_subrequest: conf.log_subrequest.unwrap_or(false),
        server_tokens: conf.server_tokens.unwrap_or(ServerTokens::On),
        etag: conf.etag.unwrap_or(true),
        if_modified_since: conf.if_modified_since.unwrap_or(IfModifiedSince::Exact),
        max_ranges: conf.max_ranges.unwrap_or(u64::from(u32::MAX >> 1)),
        chunked_transfer_encoding: conf.chunked_transfer_encoding.unwrap_or(true),
        absolute_redirect: conf.absolute_redirect.unwrap_or(true),
        server_name_in_redirect: conf.server_name_in_redirect.unwrap_or(false),
        port_in_redirect: conf.port_in_redirect.unwrap_or(true),
        recursive_error_pages: conf.recursive_error_pages.unwrap_or(false),
        msie_padding: conf.msie_padding.unwrap_or(true),
        msie_refresh: conf.msie_refresh.unwrap_or(false),
        limit_rate: conf.limit_rate.clone(),
        limit_rate_after: conf.limit_rate_after.clone(),
        lingering_close: conf.lingering_close.unwrap_or(LingeringClose::On),
        lingering_time: conf.lingering_time.unwrap_or(Duration::from_secs(30)),
        lingering_timeout: conf.lingering_timeout.unwrap_or(Duration::from_secs(5)),
        postpone_output: conf.postpone_output.unwrap_or(1460),
        post_action: conf.post_action.clone(),
        subrequest_output_buffer_size: conf.subrequest_output_buffer_size.unwrap_or_else(rustix::param::page_size),
        reset_timedout_connection: conf.reset_timedout_connection.unwrap_or(false),
    }
}

fn default_root(ctx: &Ctx<'_>) -> Root {
    Root::Root(Script::constant(ctx.full_path("html").into_os_string().into_encoded_bytes()))
}

fn body_temp_path(ctx: &Ctx<'_>, conf: &Conf) -> TempPath {
    let paths = ctx.paths();
    let default = || TempPath { path: paths.of(paths.layout.client_body_temp), levels: [0; 3] };
    conf.client_body_temp_path.clone().unwrap_or_else(default)
}

/// How much of the URI an `alias` replaces: the name of the location that it stands in.
fn alias_prefix(ctx: &Ctx<'_>, node: Option<NodeId>) -> usize {
    let mut at = node;
    while let Some(id) = at {
        if let NodeKind::Location(name) = ctx.kind(id) {
            return if name.kind == LocationKind::Regex { usize::MAX } else { name.name.len() };
        }
        at = ctx.parent(id);
    }
    0
}
