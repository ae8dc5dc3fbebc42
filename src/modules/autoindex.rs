//! `autoindex`: what a directory holds, as a page or as data. <https://nginx.org/en/docs/http/ngx_http_autoindex_module.html>

mod data;
mod html;

use std::rc::Rc;

use bytes::Bytes;

use super::{charset, folder};
use crate::conf::{Command, Inherit, LocationBuilder, Module, assign};
use crate::http::{Body, Flow, Method, Phase, PhaseHandler, Request, Response, uri};
use crate::log::Level;

/// `ngx_http_autoindex_module`.
pub struct Autoindex;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    on: Option<bool>,
    format: Option<Format>,
    local_time: Option<bool>,
    exact_size: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Html,
    Xml,
    Json,
    Jsonp,
}

const FORMATS: &[(&str, Format)] =
    &[("html", Format::Html), ("json", Format::Json), ("jsonp", Format::Jsonp), ("xml", Format::Xml)];

impl Module for Autoindex {
    type Conf = Conf;
    const NAME: &'static str = "http_autoindex";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::flag("autoindex", |c| &mut c.on),
        Command::custom("autoindex_format", |c, args, _| assign(&mut c.format, args, || args.one_of(1, FORMATS))),
        Command::flag("autoindex_localtime", |c| &mut c.local_time),
        Command::flag("autoindex_exact_size", |c| &mut c.exact_size),
    ];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.on.inherit(&parent.on);
        conf.format.inherit(&parent.format);
        conf.local_time.inherit(&parent.local_time);
        conf.exact_size.inherit(&parent.exact_size);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if conf.on != Some(true) {
            return;
        }
        let utf8 = location.conf::<charset::Conf>().makes_html_utf8(location.ctx);
        let style = html::Style {
            utf8,
            local_time: conf.local_time.unwrap_or(false),
            exact_size: conf.exact_size.unwrap_or(true),
        };
        location.on(Phase::Content, Handler { format: conf.format.unwrap_or(Format::Html), style });
    }
}

struct Handler {
    format: Format,
    style: html::Style,
}

impl PhaseHandler for Handler {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        if !r.uri.borrow().ends_with(b"/") || !matches!(r.method.get(), Method::Get | Method::Head) {
            return Flow::Declined;
        }
        let Some(mut path) = r.map_uri() else { return Flow::Finalize(500) };
        if path.len() > 1 {
            path.pop();
        }
        let callback = match self.format {
            Format::Jsonp => match callback(r) {
                Ok(callback) => callback,
                Err(status) => return Flow::Finalize(status),
            },
            _ => None,
        };
        let mut entries = match folder::list(r, &path) {
            Ok(entries) => entries,
            Err(flow) => return flow,
        };
        entries.sort_by(|a, b| b.kind.is_dir().cmp(&a.kind.is_dir()).then_with(|| a.name.cmp(&b.name)));
        let (content_type, text) = match (self.format, callback) {
            (Format::Html, _) => ("text/html", html::page(&r.uri.borrow(), &entries, &self.style)),
            (Format::Xml, _) => ("text/xml", data::xml(&entries)),
            (Format::Jsonp, Some(callback)) => ("application/javascript", data::jsonp(&entries, &callback)),
            (Format::Json | Format::Jsonp, _) => ("application/json", data::json(&entries)),
        };
        Flow::respond(Response {
            status: 200,
            content_type: Some(Bytes::from_static(content_type.as_bytes())),
            charset: (self.format == Format::Xml).then_some(Bytes::from_static(b"utf-8")),
            body: Body::Bytes(text.into()),
            ..Response::default()
        })
    }
}

/// The name of the function that a script wants called; `None` where it wants plain JSON.
fn callback(r: &Request) -> Result<Option<Vec<u8>>, u16> {
    let args = r.args.borrow();
    let Some(name) = uri::arg(&args, b"callback").filter(|name| !name.is_empty()) else { return Ok(None) };
    let refuse = |what: &str| {
        r.log_with(Level::Info, |line| {
            line.put("client sent ").put(what).put(" callback name: \"").bytes(name).put('"');
        });
        Err(400)
    };
    if name.len() > 128 {
        return refuse("too long");
    }
    if !name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.')) {
        return refuse("invalid");
    }
    Ok(Some(name.to_vec()))
}
