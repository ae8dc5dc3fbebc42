//! The directives that `fastcgi_…`, `uwsgi_…` and their kin have in common, each under its own prefix.

/// A module's directives: those of all protocols, then its own. `common` in its `Conf` is a
/// [`Settings`](super::Settings). (A macro, because names with a prefix can be made by nothing else.)
macro_rules! passing_commands {
    ($prefix:literal, [$($own:expr),* $(,)?]) => {
        &[
            Command::flag(concat!($prefix, "_pass_request_headers"), |c| &mut c.common.pass_request_headers),
            Command::flag(concat!($prefix, "_pass_request_body"), |c| &mut c.common.pass_request_body),
            Command::flag(concat!($prefix, "_buffering"), |c| &mut c.common.buffering),
            Command::flag(concat!($prefix, "_request_buffering"), |c| &mut c.common.request_buffering),
            Command::flag(concat!($prefix, "_ignore_client_abort"), |c| &mut c.common.ignore_client_abort),
            Command::flag(concat!($prefix, "_intercept_errors"), |c| &mut c.common.intercept_errors),
            Command::flag(concat!($prefix, "_force_ranges"), |c| &mut c.common.force_ranges),
            Command::flag(concat!($prefix, "_socket_keepalive"), |c| &mut c.common.socket_keepalive),
            Command::msec(concat!($prefix, "_connect_timeout"), |c| &mut c.common.connect_timeout),
            Command::msec(concat!($prefix, "_send_timeout"), |c| &mut c.common.send_timeout),
            Command::msec(concat!($prefix, "_read_timeout"), |c| &mut c.common.read_timeout),
            Command::msec(concat!($prefix, "_next_upstream_timeout"), |c| &mut c.common.next_upstream_timeout),
            Command::number(concat!($prefix, "_next_upstream_tries"), |c| &mut c.common.next_upstream_tries),
            Command::custom(concat!($prefix, "_next_upstream"), |c, args, _| c.common.read_next_upstream(args)),
            Command::custom(concat!($prefix, "_ignore_headers"), |c, args, _| c.common.read_ignored(args)),
            Command::custom(concat!($prefix, "_hide_header"), |c, args, _| {
                Settings::add_name(&mut c.common.hide, args);
                Ok(())
            }),
            Command::custom(concat!($prefix, "_pass_header"), |c, args, _| {
                Settings::add_name(&mut c.common.pass, args);
                Ok(())
            }),
            Command::custom(concat!($prefix, "_buffers"), |c, args, _| c.common.read_buffers(args)),
            Command::custom(concat!($prefix, "_buffer_size"), |c, args, _| {
                c.common.read_size(args, |s| &mut s.buffer_size)
            }),
            Command::custom(concat!($prefix, "_busy_buffers_size"), |c, args, _| {
                c.common.read_size(args, |s| &mut s.busy_buffers_size)
            }),
            Command::custom(concat!($prefix, "_max_temp_file_size"), |c, args, _| {
                c.common.read_size(args, |s| &mut s.max_temp_file_size)
            }),
            Command::custom(concat!($prefix, "_temp_file_write_size"), |c, args, _| {
                c.common.read_size(args, |s| &mut s.temp_file_write_size)
            }),
            Command::custom(concat!($prefix, "_temp_path"), |c, args, ctx| {
                assign(&mut c.common.temp_path, args, || temp_path(args, ctx))
            }),
            Command::custom(concat!($prefix, "_bind"), |c, args, ctx| c.common.read_bind(args, ctx)),
            Command::custom(concat!($prefix, "_store"), |c, args, ctx| c.common.read_store(args, ctx)),
            Command::custom(concat!($prefix, "_store_access"), |c, args, _| c.common.read_store_access(args)),
            Command::script(concat!($prefix, "_limit_rate"), |c| &mut c.common.limit_rate),
            Command::custom(concat!($prefix, "_param"), |c, args, ctx| add_param(&mut c.params, args, ctx)),
            Command::custom(concat!($prefix, "_cache"), |c, args, ctx| {
                c.common.read_cache(args, ctx, concat!("http_", $prefix))
            }),
            Command::custom(concat!($prefix, "_cache_path"), |_, args, ctx| {
                read_cache_path(args, ctx, concat!("http_", $prefix))
            }),
            Command::script(concat!($prefix, "_cache_key"), |c| &mut c.common.cache.key),
            Command::custom(concat!($prefix, "_cache_bypass"), |c, args, ctx| c.common.cache.read_bypass(args, ctx)),
            Command::custom(concat!($prefix, "_no_cache"), |c, args, ctx| c.common.cache.read_no_cache(args, ctx)),
            Command::custom(concat!($prefix, "_cache_valid"), |c, args, _| c.common.cache.read_valid(args)),
            Command::number(concat!($prefix, "_cache_min_uses"), |c| &mut c.common.cache.min_uses),
            Command::offset(concat!($prefix, "_cache_max_range_offset"), |c| &mut c.common.cache.max_range_offset),
            Command::custom(concat!($prefix, "_cache_use_stale"), |c, args, _| c.common.cache.read_use_stale(args)),
            Command::custom(concat!($prefix, "_cache_methods"), |c, args, _| c.common.cache.read_methods(args)),
            Command::flag(concat!($prefix, "_cache_lock"), |c| &mut c.common.cache.lock),
            Command::msec(concat!($prefix, "_cache_lock_timeout"), |c| &mut c.common.cache.lock_timeout),
            Command::msec(concat!($prefix, "_cache_lock_age"), |c| &mut c.common.cache.lock_age),
            Command::flag(concat!($prefix, "_cache_revalidate"), |c| &mut c.common.cache.revalidate),
            Command::flag(concat!($prefix, "_cache_background_update"), |c| &mut c.common.cache.background_update),
            $($own),*
        ]
    };
}

/// A module's directives with those about TLS before them: `ssl` in its `Conf` is a
/// [`SslSettings`](super::SslSettings), and `$list` is the macro that all of them are given to.
macro_rules! ssl_commands {
    ($list:ident, $prefix:literal, [$($own:expr),* $(,)?]) => {
        $list!($prefix, [
            Command::flag(concat!($prefix, "_ssl_session_reuse"), |c| &mut c.ssl.session_reuse),
            Command::script(concat!($prefix, "_ssl_name"), |c| &mut c.ssl.name),
            Command::flag(concat!($prefix, "_ssl_server_name"), |c| &mut c.ssl.server_name),
            Command::flag(concat!($prefix, "_ssl_verify"), |c| &mut c.ssl.verify),
            Command::number(concat!($prefix, "_ssl_verify_depth"), |c| &mut c.ssl.verify_depth),
            Command::custom(concat!($prefix, "_ssl_protocols"), |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom(concat!($prefix, "_ssl_ciphers"), |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom(concat!($prefix, "_ssl_trusted_certificate"), |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom(concat!($prefix, "_ssl_crl"), |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom(concat!($prefix, "_ssl_certificate"), |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom(concat!($prefix, "_ssl_certificate_key"), |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom(concat!($prefix, "_ssl_certificate_cache"), |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom(concat!($prefix, "_ssl_password_file"), |c, args, ctx| c.ssl.read(args, ctx)),
            Command::custom(concat!($prefix, "_ssl_conf_command"), |c, args, ctx| c.ssl.read(args, ctx)),
            $($own),*
        ])
    };
}

/// A module's directives as they are.
macro_rules! listed_commands {
    ($prefix:literal, [$($own:expr),* $(,)?]) => {
        &[$($own),*]
    };
}

pub(in crate::modules) use {listed_commands, passing_commands, ssl_commands};
