//! The core of `http`: servers, locations, files and connections. <https://nginx.org/en/docs/http/ngx_http_core_module.html>

mod address;
mod blocks;
mod error_page;
mod hashes;
mod listen;
mod names;
mod ports;
mod resolved;
mod server_name;
mod servers;
mod types;
mod variables;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

pub use ports::{EncryptedAddress, build_listens, encrypted_addresses, server_speaks_http2};
pub use resolved::resolve;
pub use server_name::server_names;
pub use servers::{build_server, limit_except, location_tree, passes_requests_on, servers};

pub(super) use variables::log_value;

use super::thread_pool;
use crate::conf::{Args, Command, Ctx, Inherit, Module, NodeId, SetResult, assign, temp_path};
use crate::http::{
    BodyInFile, ErrorPage, IfModifiedSince, KeepaliveDisable, LingeringClose, Root, Script, ServerTokens, TempPath,
    Types, VariableDef,
};

/// `ngx_http_core_module`.
pub struct HttpCore;

/// The directives of one block, from `http` down to `if`.
#[derive(Default)]
pub struct Conf {
    listens: bool,
    names: Vec<server_name::ServerName>,
    locations: Vec<NodeId>,
    limit_except: Option<(u32, NodeId)>,
    auto_redirect: bool,
    http2: Option<bool>,
    http2_streams: Option<u64>,
    http2_preread: Option<usize>,
    http2_chunk_size: Option<usize>,
    client_header_timeout: Option<Duration>,
    client_header_buffer_size: Option<usize>,
    connection_pool_size: Option<usize>,
    large_client_header_buffers: Option<(usize, usize)>,
    ignore_invalid_headers: Option<bool>,
    underscores_in_headers: Option<bool>,
    merge_slashes: Option<bool>,
    root: Option<Root>,
    alias_node: Option<NodeId>,
    types: Option<Arc<Types>>,
    default_type: Option<Bytes>,
    internal: Option<bool>,
    error_pages: Vec<ErrorPage>,
    client_max_body_size: Option<u64>,
    client_body_buffer_size: Option<usize>,
    client_body_timeout: Option<Duration>,
    client_body_temp_path: Option<TempPath>,
    client_body_in_file_only: Option<BodyInFile>,
    keepalive_timeout: Option<Duration>,
    keepalive_header: Option<u64>,
    keepalive_requests: Option<u64>,
    keepalive_time: Option<Duration>,
    keepalive_disable: Option<KeepaliveDisable>,
    keepalive_min_timeout: Option<Duration>,
    send_timeout: Option<Duration>,
    sendfile: Option<bool>,
    sendfile_max_chunk: Option<usize>,
    tcp_nodelay: Option<bool>,
    auth_delay: Option<Duration>,
    satisfy_any: Option<bool>,
    log_not_found: Option<bool>,
    log_subrequest: Option<bool>,
    server_tokens: Option<ServerTokens>,
    etag: Option<bool>,
    if_modified_since: Option<IfModifiedSince>,
    max_ranges: Option<u64>,
    chunked_transfer_encoding: Option<bool>,
    absolute_redirect: Option<bool>,
    server_name_in_redirect: Option<bool>,
    port_in_redirect: Option<bool>,
    recursive_error_pages: Option<bool>,
    msie_padding: Option<bool>,
    msie_refresh: Option<bool>,
    limit_rate: Option<Script>,
    limit_rate_after: Option<Script>,
    lingering_close: Option<LingeringClose>,
    lingering_time: Option<Duration>,
    lingering_timeout: Option<Duration>,
    reset_timedout_connection: Option<bool>,
    postpone_output: Option<usize>,
    post_action: Option<Bytes>,
    subrequest_output_buffer_size: Option<usize>,
}

const SERVER_TOKENS: &[(&str, ServerTokens)] =
    &[("off", ServerTokens::Off), ("on", ServerTokens::On), ("build", ServerTokens::Build)];

const LINGERING_CLOSE: &[(&str, LingeringClose)] =
    &[("off", LingeringClose::Off), ("on", LingeringClose::On), ("always", LingeringClose::Always)];

const BODY_IN_FILE: &[(&str, BodyInFile)] =
    &[("off", BodyInFile::Off), ("on", BodyInFile::Kept), ("clean", BodyInFile::Clean)];

const IF_MODIFIED_SINCE: &[(&str, IfModifiedSince)] =
    &[("off", IfModifiedSince::Off), ("exact", IfModifiedSince::Exact), ("before", IfModifiedSince::Before)];

impl Module for HttpCore {
    type Conf = Conf;
    const NAME: &'static str = "http_core";
    const ALSO: &'static [&'static str] = &["http", "http_v2"];
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("http", blocks::http),
        Command::custom("server", blocks::server),
        Command::custom("location", blocks::location),
        Command::custom("limit_except", blocks::limit_except),
        Command::custom("listen", listen::add),
        Command::custom("server_name", server_name::add),
        Command::msec("client_header_timeout", |c| &mut c.client_header_timeout),
        Command::size("client_header_buffer_size", |c| &mut c.client_header_buffer_size),
        // Of no effect but for one check.
        Command::size("connection_pool_size", |c| &mut c.connection_pool_size),
        Command::custom("large_client_header_buffers", |c, args, _| {
            assign(&mut c.large_client_header_buffers, args, || {
                let number = args.number(1)?;
                let number = usize::try_from(number).ok().filter(|number| *number > 0);
                Ok((number.ok_or_else(|| args.invalid(1))?, args.size(2)?))
            })
        }),
        Command::flag("ignore_invalid_headers", |c| &mut c.ignore_invalid_headers),
        Command::flag("underscores_in_headers", |c| &mut c.underscores_in_headers),
        Command::flag("merge_slashes", |c| &mut c.merge_slashes),
        Command::custom("root", blocks::root),
        Command::custom("alias", blocks::root),
        Command::custom("types", types::read),
        Command::text("default_type", |c| &mut c.default_type),
        Command::custom("internal", |c, _, _| {
            c.internal = Some(true);
            Ok(())
        }),
        Command::custom("error_page", error_page::add),
        Command::offset("client_max_body_size", |c| &mut c.client_max_body_size),
        Command::size("client_body_buffer_size", |c| &mut c.client_body_buffer_size),
        Command::msec("client_body_timeout", |c| &mut c.client_body_timeout),
        Command::custom("client_body_temp_path", |c, args, ctx| {
            assign(&mut c.client_body_temp_path, args, || temp_path(args, ctx))
        }),
        Command::custom("client_body_in_file_only", |c, args, _| {
            assign(&mut c.client_body_in_file_only, args, || args.one_of(1, BODY_IN_FILE))
        }),
        Command::custom("keepalive_timeout", |c, args, _| {
            assign(&mut c.keepalive_timeout, args, || args.msec(1))?;
            if args.len() > 2 {
                c.keepalive_header = Some(args.sec(2)?.as_secs());
            }
            Ok(())
        }),
        Command::number("keepalive_requests", |c| &mut c.keepalive_requests),
        Command::msec("keepalive_time", |c| &mut c.keepalive_time),
        Command::custom("keepalive_disable", |c, args, _| disable_keepalive(c, args)),
        Command::msec("keepalive_min_timeout", |c| &mut c.keepalive_min_timeout),
        Command::msec("send_timeout", |c| &mut c.send_timeout),
        Command::flag("sendfile", |c| &mut c.sendfile),
        // Of no effect but for one check.
        Command::custom("aio", |_, args, ctx| thread_pool::note_use(args, ctx)),
        Command::size("sendfile_max_chunk", |c| &mut c.sendfile_max_chunk),
        Command::flag("tcp_nodelay", |c| &mut c.tcp_nodelay),
        Command::msec("auth_delay", |c| &mut c.auth_delay),
        Command::custom("satisfy", |c, args, _| {
            assign(&mut c.satisfy_any, args, || args.one_of(1, &[("all", false), ("any", true)]))
        }),
        Command::flag("log_not_found", |c| &mut c.log_not_found),
        Command::flag("log_subrequest", |c| &mut c.log_subrequest),
        Command::custom("server_tokens", |c, args, _| {
            assign(&mut c.server_tokens, args, || args.one_of(1, SERVER_TOKENS))
        }),
        Command::flag("etag", |c| &mut c.etag),
        Command::custom("if_modified_since", |c, args, _| {
            assign(&mut c.if_modified_since, args, || args.one_of(1, IF_MODIFIED_SINCE))
        }),
        Command::number("max_ranges", |c| &mut c.max_ranges),
        Command::flag("chunked_transfer_encoding", |c| &mut c.chunked_transfer_encoding),
        Command::flag("absolute_redirect", |c| &mut c.absolute_redirect),
        Command::flag("server_name_in_redirect", |c| &mut c.server_name_in_redirect),
        Command::flag("port_in_redirect", |c| &mut c.port_in_redirect),
        Command::flag("recursive_error_pages", |c| &mut c.recursive_error_pages),
        Command::flag("msie_padding", |c| &mut c.msie_padding),
        Command::flag("msie_refresh", |c| &mut c.msie_refresh),
        Command::script("limit_rate", |c| &mut c.limit_rate),
        Command::script("limit_rate_after", |c| &mut c.limit_rate_after),
        Command::custom("lingering_close", |c, args, _| {
            assign(&mut c.lingering_close, args, || args.one_of(1, LINGERING_CLOSE))
        }),
        Command::msec("lingering_time", |c| &mut c.lingering_time),
        Command::msec("lingering_timeout", |c| &mut c.lingering_timeout),
        Command::flag("http2", |c| &mut c.http2),
        Command::number("http2_max_concurrent_streams", |c| &mut c.http2_streams),
        Command::size("http2_body_preread_size", |c| &mut c.http2_preread),
        Command::size("http2_chunk_size", |c| &mut c.http2_chunk_size),
        Command::flag("reset_timedout_connection", |c| &mut c.reset_timedout_connection),
        Command::size("postpone_output", |c| &mut c.postpone_output),
        Command::text("post_action", |c| &mut c.post_action),
        Command::size("subrequest_output_buffer_size", |c| &mut c.subrequest_output_buffer_size),
    ];

    const VARIABLES: &'static [VariableDef] = variables::VARIABLES;

    fn merge(parent: &Conf, conf: &mut Conf) {
        if conf.root.is_none() {
            conf.alias_node = parent.alias_node;
        }
        conf.root.inherit(&parent.root);
        conf.client_header_timeout.inherit(&parent.client_header_timeout);
        conf.client_header_buffer_size.inherit(&parent.client_header_buffer_size);
        conf.connection_pool_size.inherit(&parent.connection_pool_size);
        conf.large_client_header_buffers.inherit(&parent.large_client_header_buffers);
        conf.ignore_invalid_headers.inherit(&parent.ignore_invalid_headers);
        conf.underscores_in_headers.inherit(&parent.underscores_in_headers);
        conf.merge_slashes.inherit(&parent.merge_slashes);
        conf.types.inherit(&parent.types);
        conf.default_type.inherit(&parent.default_type);
        conf.error_pages.inherit(&parent.error_pages);
        conf.client_max_body_size.inherit(&parent.client_max_body_size);
        conf.client_body_buffer_size.inherit(&parent.client_body_buffer_size);
        conf.client_body_timeout.inherit(&parent.client_body_timeout);
        conf.client_body_temp_path.inherit(&parent.client_body_temp_path);
        conf.client_body_in_file_only.inherit(&parent.client_body_in_file_only);
        conf.keepalive_timeout.inherit(&parent.keepalive_timeout);
        conf.keepalive_header.inherit(&parent.keepalive_header);
        conf.keepalive_requests.inherit(&parent.keepalive_requests);
        conf.keepalive_time.inherit(&parent.keepalive_time);
        conf.keepalive_disable.inherit(&parent.keepalive_disable);
        conf.keepalive_min_timeout.inherit(&parent.keepalive_min_timeout);
        conf.send_timeout.inherit(&parent.send_timeout);
        conf.sendfile.inherit(&parent.sendfile);
        conf.sendfile_max_chunk.inherit(&parent.sendfile_max_chunk);
        conf.tcp_nodelay.inherit(&parent.tcp_nodelay);
        conf.auth_delay.inherit(&parent.auth_delay);
        conf.satisfy_any.inherit(&parent.satisfy_any);
        conf.log_not_found.inherit(&parent.log_not_found);
        conf.log_subrequest.inherit(&parent.log_subrequest);
        conf.server_tokens.inherit(&parent.server_tokens);
        conf.etag.inherit(&parent.etag);
        conf.if_modified_since.inherit(&parent.if_modified_since);
        conf.max_ranges.inherit(&parent.max_ranges);
        conf.chunked_transfer_encoding.inherit(&parent.chunked_transfer_encoding);
        conf.absolute_redirect.inherit(&parent.absolute_redirect);
        conf.server_name_in_redirect.inherit(&parent.server_name_in_redirect);
        conf.port_in_redirect.inherit(&parent.port_in_redirect);
        conf.recursive_error_pages.inherit(&parent.recursive_error_pages);
        conf.msie_padding.inherit(&parent.msie_padding);
        conf.msie_refresh.inherit(&parent.msie_refresh);
        conf.limit_rate.inherit(&parent.limit_rate);
        conf.limit_rate_after.inherit(&parent.limit_rate_after);
        conf.lingering_close.inherit(&parent.lingering_close);
        conf.lingering_time.inherit(&parent.lingering_time);
        conf.lingering_timeout.inherit(&parent.lingering_timeout);
        conf.reset_timedout_connection.inherit(&parent.reset_timedout_connection);
        conf.postpone_output.inherit(&parent.postpone_output);
        conf.post_action.inherit(&parent.post_action);
        conf.subrequest_output_buffer_size.inherit(&parent.subrequest_output_buffer_size);
        conf.http2.inherit(&parent.http2);
        conf.http2_streams.inherit(&parent.http2_streams);
        conf.http2_preread.inherit(&parent.http2_preread);
        conf.http2_chunk_size.inherit(&parent.http2_chunk_size);
        conf.internal.inherit(&parent.internal);
    }

    fn finish(ctx: &mut Ctx<'_>) {
        servers::check(ctx);
    }
}

/// `keepalive_disable`: browsers.
fn disable_keepalive(c: &mut Conf, args: &Args<'_>) -> SetResult {
    let mut browsers = KeepaliveDisable { msie6: false, safari: false };
    for index in 1..args.len() {
        match args.value(index) {
            b"none" => {}
            b"msie6" => browsers.msie6 = true,
            b"safari" => browsers.safari = true,
            _ => {
                let message = format!("invalid value \"{}\"", args.text(index));
                return Err(args.error(index, "invalid-value", message));
            }
        }
    }
    assign(&mut c.keepalive_disable, args, || Ok(browsers))
}
