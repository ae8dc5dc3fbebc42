//! `gzip`: responses are compressed on their way. <https://nginx.org/en/docs/http/ngx_http_gzip_module.html>

mod accept;
mod kept;
mod rules;
mod stream;

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;

use self::kept::{Keeping, Kept};
use self::stream::{Compressor, Settings};
use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult, assign};
use crate::http::{Body, FileStat, Filter, FilterSlot, HeaderId, MediaTypes, Request, Response, VariableDef};

pub(super) use self::rules::Rules;

/// `ngx_http_gzip_filter_module`, and the directives of the core module that it shares with
/// `gzip_static` and `gunzip`.
pub struct Gzip;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    on: Option<bool>,
    buffers: Option<(usize, usize)>,
    types: Option<MediaTypes>,
    level: Option<u64>,
    window: Option<u8>,
    no_buffer: Option<bool>,
    min_length: Option<usize>,
    rules: rules::Conf,
}

impl Module for Gzip {
    type Conf = Conf;
    const NAME: &'static str = "http_gzip";
    const ALSO: &'static [&'static str] = &["http_core"];
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::flag("gzip", |c| &mut c.on),
        Command::custom("gzip_buffers", |c, args, _| assign(&mut c.buffers, args, || args.buffers())),
        Command::custom("gzip_types", |c, args, _| {
            args.add_types(&mut c.types, &["text/html"]);
            Ok(())
        }),
        Command::number("gzip_comp_level", |c| &mut c.level),
        Command::custom("gzip_window", set_window),
        Command::flag("gzip_no_buffer", |c| &mut c.no_buffer),
        Command::size("gzip_min_length", |c| &mut c.min_length),
        Command::flag("gzip_vary", |c| &mut c.rules.vary),
        Command::custom("gzip_http_version", |c, args, _| c.rules.set_version(args)),
        Command::custom("gzip_proxied", |c, args, _| c.rules.add_proxied(args)),
        Command::custom("gzip_disable", |c, args, ctx| c.rules.add_disabled(args, ctx)),
    ];
    const VARIABLES: &'static [VariableDef] = &[VariableDef::new("gzip_ratio", ratio).cached()];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.on.inherit(&parent.on);
        conf.buffers.inherit(&parent.buffers);
        conf.types.inherit(&parent.types);
        conf.level.inherit(&parent.level);
        conf.window.inherit(&parent.window);
        conf.no_buffer.inherit(&parent.no_buffer);
        conf.min_length.inherit(&parent.min_length);
        conf.rules.inherit(&parent.rules);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if conf.on != Some(true) {
            return;
        }
        let page = rustix::param::page_size();
        let (count, size) = conf.buffers.unwrap_or(((128 << 10) / page, page));
        location.filter(
            FilterSlot::Gzip,
            Compress {
                types: conf.types.clone().unwrap_or_else(|| MediaTypes::new([&b"text/html"[..]])),
                min_length: conf.min_length.unwrap_or(20) as u64,
                rules: conf.rules(),
                settings: Settings {
                    level: conf.level.map_or(1, |level| level.min(9) as u32),
                    window: conf.window.unwrap_or(15),
                    buffer: size,
                    most: count.saturating_mul(size).max(size),
                    no_buffer: conf.no_buffer.unwrap_or(false),
                },
            },
        );
    }
}

impl Conf {
    /// When a compressed response may be sent here.
    pub(super) fn rules(&self) -> Rules {
        self.rules.resolve()
    }
}

/// Sizes as powers of two.
fn set_window(c: &mut Conf, args: &Args<'_>, _ctx: &mut Ctx<'_>) -> SetResult {
    assign(&mut c.window, args, || {
        let size = args.size(1)?;
        let bits = (9..=15u8).find(|bits| 1usize << bits == size);
        let message = "\"gzip_window\" directive must be 512, 1k, 2k, 4k, 8k, 16k, or 32k";
        bits.ok_or_else(|| args.error(1, "invalid-value", message))
    })
}

struct Compress {
    types: MediaTypes,
    min_length: u64,
    rules: Rules,
    settings: Settings,
}

/// What a request's compression came to, for `$gzip_ratio`.
#[derive(Default)]
struct Ratio {
    read: Cell<u64>,
    written: Cell<u64>,
}

impl Ratio {
    fn set(&self, read: u64, written: u64) {
        self.read.set(read);
        self.written.set(written);
    }
}

impl Filter for Compress {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        if !matches!(response.status, 200 | 403 | 404)
            || response.headers.get(HeaderId::ContentEncoding).is_some_and(|encoding| !encoding.is_empty())
            || response.content_length.is_some_and(|length| length < self.min_length)
            || !response.has_type(&self.types)
            || response.header_only
        {
            return Ok(());
        }
        response.gzip_vary = self.rules.vary;
        if !self.rules.accepts(r, response) {
            return Ok(());
        }
        let settings = self.settings.for_length(response.content_length);
        response.headers.push_id(HeaderId::ContentEncoding, b"gzip");
        response.clear_content_length();
        response.clear_accept_ranges();
        response.weaken_etag();
        self.compress(r, settings, response);
        Ok(())
    }
}

impl Compress {
    /// A file that was compressed lately is not compressed again.
    fn compress(&self, r: &Request, settings: Settings, response: &mut Response) {
        let ratio = r.context::<Ratio>();
        let kept = r.local.state.get::<Kept>();
        let key = response.whole_file().filter(FileStat::is_settled).map(|file| settings.key(file));
        if let Some(packed) = key.as_ref().and_then(|key| kept.find(key)) {
            ratio.set(response.file.map_or(0, |file| file.size), packed.len() as u64);
            response.body = Body::Bytes(packed);
            return;
        }
        let pool = r.local.state.get();
        let keeping = key.map(|key| Keeping::new(kept, key));
        response.body.wrap(|body| Box::new(Compressor::new(body, settings, pool, ratio, keeping)));
    }
}

/// `$gzip_ratio`, rounded to hundredths.
fn ratio(r: &Request, out: &mut Vec<u8>) -> bool {
    let ratio = r.context::<Ratio>();
    let (read, written) = (ratio.read.get(), ratio.written.get());
    if written == 0 {
        return false;
    }
    let hundredths = (read * 1000 / written + 5) / 10;
    write!(out, "{}.{:02}", hundredths / 100, hundredths % 100).expect("a Vec takes every write");
    true
}
