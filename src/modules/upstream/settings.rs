//! What `proxy_…`, `fastcgi_…` and their kin have in common: the directives of one block, inherited and resolved.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::cache::{CacheSettings, check_caches};
use crate::conf::{Args, Ctx, Inherit, NodeKind, SetResult, assign, claim_default};
use crate::diag::{Diagnostic, Span};
use crate::http::{Script, TempFolders, TempPath};
use crate::modules::core::wants_transparent_sockets;
use crate::schema::value;
use crate::upstream::{Bind, BindAddress, Conf, Names, NextOn, StoreConf, parse_address};

/// The words of `…_next_upstream`.
pub const NEXT_UPSTREAM: &[(&str, NextOn)] = &[
    ("error", NextOn::ERROR),
    ("timeout", NextOn::TIMEOUT),
    ("invalid_header", NextOn::INVALID_HEADER),
    ("non_idempotent", NextOn::NON_IDEMPOTENT),
    ("http_500", NextOn::HTTP_500),
    ("http_502", NextOn::HTTP_502),
    ("http_503", NextOn::HTTP_503),
    ("http_504", NextOn::HTTP_504),
    ("http_403", NextOn::HTTP_403),
    ("http_404", NextOn::HTTP_404),
    ("http_429", NextOn::HTTP_429),
    ("updating", NextOn::UPDATING),
    // memcached's own words.
    ("invalid_response", NextOn::INVALID_HEADER),
    ("not_found", NextOn::HTTP_404),
    ("off", NextOn::NEVER),
];

/// The words of `…_ignore_headers`.
pub const IGNORABLE: &[&str] = &[
    "X-Accel-Redirect",
    "X-Accel-Expires",
    "X-Accel-Limit-Rate",
    "X-Accel-Buffering",
    "X-Accel-Charset",
    "Expires",
    "Cache-Control",
    "Set-Cookie",
    "Vary",
];

/// The directives of one block; `None` is not set in it.
#[derive(Clone, Default)]
pub struct Settings {
    pub connect_timeout: Option<Duration>,
    pub send_timeout: Option<Duration>,
    pub read_timeout: Option<Duration>,
    pub next_upstream: Option<NextOn>,
    pub next_upstream_tries: Option<u64>,
    pub next_upstream_timeout: Option<Duration>,
    pub buffering: Option<bool>,
    pub request_buffering: Option<bool>,
    pub ignore_client_abort: Option<bool>,
    pub intercept_errors: Option<bool>,
    pub force_ranges: Option<bool>,
    pub pass_trailers: Option<bool>,
    pub pass_request_headers: Option<bool>,
    pub pass_request_body: Option<bool>,
    pub socket_keepalive: Option<bool>,
    pub buffer_size: Option<usize>,
    /// How many, and the size of each.
    pub buffers: Option<(usize, usize)>,
    pub busy_buffers_size: Option<usize>,
    pub max_temp_file_size: Option<usize>,
    pub temp_file_write_size: Option<usize>,
    pub temp_path: Option<TempPath>,
    pub limit_rate: Option<Script>,
    /// `off` is `Some(None)`.
    pub bind: Option<Option<Bind>>,
    /// `off` is `Some(None)`; the inner value is the path, `None` for the URI's.
    pub store: Option<Option<Option<Script>>>,
    pub store_access: Option<u32>,
    pub ignored: Option<Names>,
    pub hide: Option<Vec<Box<[u8]>>>,
    pub pass: Option<Vec<Box<[u8]>>>,
    pub cache: CacheSettings,
    /// Where this block says something about sizes that must go together.
    pub sizes_at: Option<Span>,
}

impl Settings {
    /// Takes from the block around what this one does not set.
    pub fn inherit(&mut self, parent: &Self) {
        self.connect_timeout.inherit(&parent.connect_timeout);
        self.send_timeout.inherit(&parent.send_timeout);
        self.read_timeout.inherit(&parent.read_timeout);
        self.next_upstream.inherit(&parent.next_upstream);
        self.next_upstream_tries.inherit(&parent.next_upstream_tries);
        self.next_upstream_timeout.inherit(&parent.next_upstream_timeout);
        self.buffering.inherit(&parent.buffering);
        self.request_buffering.inherit(&parent.request_buffering);
        self.ignore_client_abort.inherit(&parent.ignore_client_abort);
        self.intercept_errors.inherit(&parent.intercept_errors);
        self.force_ranges.inherit(&parent.force_ranges);
        self.pass_trailers.inherit(&parent.pass_trailers);
        self.pass_request_headers.inherit(&parent.pass_request_headers);
        self.pass_request_body.inherit(&parent.pass_request_body);
        self.socket_keepalive.inherit(&parent.socket_keepalive);
        self.buffer_size.inherit(&parent.buffer_size);
        self.buffers.inherit(&parent.buffers);
        self.busy_buffers_size.inherit(&parent.busy_buffers_size);
        self.max_temp_file_size.inherit(&parent.max_temp_file_size);
        self.temp_file_write_size.inherit(&parent.temp_file_write_size);
        self.temp_path.inherit(&parent.temp_path);
        self.limit_rate.inherit(&parent.limit_rate);
        self.bind.inherit(&parent.bind);
        // One of the two.
        if matches!(self.store, Some(Some(_))) {
            self.cache.turn_off();
        } else if self.cache.is_on() {
            self.store = Some(None);
        }
        self.store.inherit(&parent.store);
        self.store_access.inherit(&parent.store_access);
        self.ignored.inherit(&parent.ignored);
        self.hide.inherit(&parent.hide);
        self.pass.inherit(&parent.pass);
        self.cache.inherit(&parent.cache);
        self.sizes_at = self.sizes_at.or(parent.sizes_at);
    }

    /// Reads `…_next_upstream`.
    ///
    /// # Errors
    /// nginx's sentence about a word that is none of its words.
    pub fn read_next_upstream(&mut self, args: &Args<'_>) -> SetResult {
        let (mut on, mut never) = (self.next_upstream.unwrap_or(NextOn::NEVER), false);
        for index in 1..args.len() {
            let word = args.one_of(index, NEXT_UPSTREAM)?;
            never |= word == NextOn::NEVER;
            on = on.with(word);
        }
        self.next_upstream = Some(if never { NextOn::NEVER } else { on });
        Ok(())
    }

    /// Reads `…_ignore_headers`.
    ///
    /// # Errors
    /// nginx's sentence about a word that is none of its words.
    pub fn read_ignored(&mut self, args: &Args<'_>) -> SetResult {
        let ignored = self.ignored.get_or_insert_default();
        for (index, word) in (1..).zip(args.words()) {
            let known = IGNORABLE.iter().any(|name| name.as_bytes().eq_ignore_ascii_case(&word.value));
            if !known {
                let message = format!("invalid value \"{}\"", args.text(index));
                return Err(args.error(index, "invalid-value", message));
            }
            ignored.insert(&word.value);
        }
        Ok(())
    }

    /// Reads `…_buffers`.
    ///
    /// # Errors
    /// nginx's `"name" directive invalid value`.
    pub fn read_buffers(&mut self, args: &Args<'_>) -> SetResult {
        self.touch_sizes(args);
        assign(&mut self.buffers, args, || {
            let count = value::number(args.value(1)).and_then(|count| usize::try_from(count).ok());
            let count = count.filter(|count| *count > 0).ok_or_else(|| args.invalid(1))?;
            let size = args.size(2)?;
            if size == 0 { Err(args.invalid(2)) } else { Ok((count, size)) }
        })
    }

    /// Reads a size that must go together with others.
    ///
    /// # Errors
    /// nginx's `"name" directive invalid value`.
    pub fn read_size(&mut self, args: &Args<'_>, field: fn(&mut Self) -> &mut Option<usize>) -> SetResult {
        self.touch_sizes(args);
        assign(field(self), args, || args.size(1))
    }

    fn touch_sizes(&mut self, args: &Args<'_>) {
        self.sizes_at.get_or_insert(args.word(0).span);
    }

    /// Reads `…_bind`.
    ///
    /// # Errors
    /// nginx's sentences about addresses and parameters.
    pub fn read_bind(&mut self, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
        if self.bind.is_some() {
            return Err(args.duplicate());
        }
        if args.len() == 2 && args.value(1) == b"off" {
            self.bind = Some(None);
            return Ok(());
        }
        let script = ctx.script(args.word(1))?;
        let address = match script.as_constant() {
            None => BindAddress::Evaluated(script),
            Some(text) => BindAddress::Fixed(
                parse_address(text)
                    .ok_or_else(|| args.error(1, "invalid-address", format!("invalid address \"{}\"", args.text(1))))?,
            ),
        };
        let transparent = args.len() > 2;
        if transparent {
            if args.value(2) != b"transparent" {
                return Err(args.invalid_parameter(2));
            }
            wants_transparent_sockets(ctx);
        }
        self.bind = Some(Some(Bind { address, transparent }));
        Ok(())
    }

    /// Reads `…_store`.
    ///
    /// # Errors
    /// nginx's sentence about an empty path.
    pub fn read_store(&mut self, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
        if self.store.is_some() {
            return Err(args.duplicate());
        }
        self.store = Some(match args.value(1) {
            b"off" => None,
            b"" => return Err(args.error(1, "empty-path", "empty path")),
            _ if self.cache.is_on() => return Err(args.incompatible(&args.name().replace("_store", "_cache"))),
            b"on" => Some(None),
            _ => Some(Some(ctx.script(args.word(1))?)),
        });
        Ok(())
    }

    /// Reads `…_cache`; the module `owner` has its zones.
    ///
    /// # Errors
    /// nginx's sentences about a second one, and about `…_store` beside it.
    pub fn read_cache(&mut self, args: &Args<'_>, ctx: &mut Ctx<'_>, owner: &'static str) -> SetResult {
        let stores = matches!(self.store, Some(Some(_)));
        self.cache.read_zone(args, ctx, (owner, stores))
    }

    /// Reads `…_store_access`.
    ///
    /// # Errors
    /// nginx's sentence about a word that is none of its words.
    pub fn read_store_access(&mut self, args: &Args<'_>) -> SetResult {
        assign(&mut self.store_access, args, || {
            let words = args.words().iter().map(|word| &word.value[..]);
            value::access(words).map_err(|index| {
                args.error(index + 1, "invalid-value", format!("invalid value \"{}\"", args.text(index + 1)))
            })
        })
    }

    /// Adds a name to a list of names.
    pub fn add_name(list: &mut Option<Vec<Box<[u8]>>>, args: &Args<'_>) {
        list.get_or_insert_default().push(args.value(1).into());
    }

    fn default_buffer(&self) -> usize {
        rustix::param::page_size()
    }

    /// What is wrong where sizes do not go together, in nginx's words; `prefix` is `proxy` or one of its kin.
    fn check_sizes(&self, prefix: &str) -> Option<Diagnostic> {
        let at = self.sizes_at?;
        let message = self.sizes_fault().err()?.replace("proxy_", &format!("{prefix}_"));
        Some(Diagnostic::error("buffer-sizes", message).at(at))
    }

    fn sizes_fault(&self) -> Result<(), &'static str> {
        let (count, each) = self.buffers.unwrap_or((8, self.default_buffer()));
        let largest = self.buffer_size.unwrap_or(self.default_buffer()).max(each);
        let busy = self.busy_buffers_size.unwrap_or(2 * largest);
        if count < 2 {
            return Err("there must be at least 2 \"proxy_buffers\"");
        }
        if busy < largest {
            return Err("\"proxy_busy_buffers_size\" must be equal to or greater than the maximum of the value of \
                        \"proxy_buffer_size\" and one of the \"proxy_buffers\"");
        }
        if busy > (count - 1) * each {
            return Err("\"proxy_busy_buffers_size\" must be less than the size of all \"proxy_buffers\" minus one \
                        buffer");
        }
        if self.temp_file_write_size.is_some_and(|size| size < largest) {
            return Err("\"proxy_temp_file_write_size\" must be equal to or greater than the maximum of the value of \
                        \"proxy_buffer_size\" and one of the \"proxy_buffers\"");
        }
        if self.max_temp_file_size.is_some_and(|size| size != 0 && size < largest) {
            return Err("\"proxy_max_temp_file_size\" must be equal to zero to disable temporary files usage or must \
                        be equal to or greater than the maximum of the value of \"proxy_buffer_size\" and one of the \
                        \"proxy_buffers\"");
        }
        Ok(())
    }

    /// All values with their defaults, for a module by its name in the table.
    pub fn resolve(
        &self,
        (ctx, module): (&Ctx<'_>, &'static str),
        hidden: &[&str],
        temp_path: impl FnOnce() -> TempPath,
    ) -> Conf {
        let minute = Duration::from_secs(60);
        let access = self.store_access.unwrap_or(0o600);
        let store = self.store.clone().flatten().map(|path| StoreConf { path, access });
        let (count, each) = self.buffers.unwrap_or((8, self.default_buffer()));
        Conf {
            module: module.strip_prefix("http_").unwrap_or(module),
            cache: self.cache.resolve(ctx, module),
            connect_timeout: self.connect_timeout.unwrap_or(minute),
            send_timeout: self.send_timeout.unwrap_or(minute),
            read_timeout: self.read_timeout.unwrap_or(minute),
            next_upstream: self.next_upstream.unwrap_or(NextOn::ERROR.with(NextOn::TIMEOUT)),
            next_upstream_tries: usize::try_from(self.next_upstream_tries.unwrap_or(0)).unwrap_or(usize::MAX),
            next_upstream_timeout: self.next_upstream_timeout.unwrap_or_default(),
            buffering: self.buffering.unwrap_or(true),
            // An answer that is kept is read to its end.
            ignore_client_abort: self.ignore_client_abort.unwrap_or(false) || store.is_some(),
            intercept_errors: self.intercept_errors.unwrap_or(false),
            intercept_404: false,
            force_ranges: self.force_ranges.unwrap_or(false),
            pass_trailers: self.pass_trailers.unwrap_or(false),
            socket_keepalive: self.socket_keepalive.unwrap_or(false),
            bind: self.bind.clone().flatten(),
            store,
            buffer_size: self.buffer_size.unwrap_or(self.default_buffer()),
            buffers_size: count * each,
            max_temp_file_size: self.max_temp_file_size.map_or(1 << 30, |size| size as u64),
            temp_path: Arc::new(self.temp_path.clone().unwrap_or_else(temp_path)),
            limit_rate: self.limit_rate.clone().filter(|rate| !rate.is_empty()),
            ignored: self.ignored.clone().unwrap_or_default(),
            hidden: self.hidden(hidden),
            asked_for: OnceLock::new(),
        }
    }

    fn hidden(&self, defaults: &[&str]) -> Names {
        let mut names = Names::default();
        defaults.iter().for_each(|name| names.insert(name.as_bytes()));
        self.hide.iter().flatten().for_each(|name| names.insert(name));
        self.pass.iter().flatten().for_each(|name| names.remove(name));
        names
    }
}

/// What is checked when all blocks have been merged. nginx looks only at blocks that have one around them: what `http` says
/// may be said anew in each server.
pub(crate) fn check_all<C: 'static>(ctx: &mut Ctx<'_>, prefix: &str, settings: fn(&C) -> &Settings) {
    let has_around = |kind: &NodeKind| !matches!(kind, NodeKind::Main | NodeKind::Http);
    let mut faults: Vec<Diagnostic> = Vec::new();
    for conf in ctx.each_conf::<C>(has_around) {
        let fault = settings(conf).check_sizes(prefix);
        faults.extend(fault.filter(|fault| !faults.iter().any(|other| other.at == fault.at)));
    }
    let end = ctx.end_of_http();
    faults.into_iter().for_each(|fault| ctx.complain(fault.nginx_at(end)));
    check_caches::<C>(ctx, prefix, settings);
}

/// Has the folders for temporary files of all blocks below `http` made at start.
pub(crate) fn want_temp_folders<C: 'static>(ctx: &mut Ctx<'_>, settings: fn(&C) -> &Settings, default: TempPath) {
    let below_http = |kind: &NodeKind| !matches!(kind, NodeKind::Main | NodeKind::Events);
    let paths = ctx.each_conf::<C>(below_http).into_iter().map(|conf| settings(conf).temp_path.as_ref());
    let folders: BTreeSet<_> = paths.map(|path| path.unwrap_or(&default).path.clone()).collect();
    if folders.contains(&default.path) {
        claim_default(ctx, &default);
    }
    let mut wanted = ctx.extensions.get::<TempFolders>().cloned().unwrap_or_default();
    wanted.0.extend(folders);
    ctx.extensions.insert(wanted);
}
