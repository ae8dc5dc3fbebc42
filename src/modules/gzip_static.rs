//! `gzip_static`: files that lie compressed beside the plain ones. <https://nginx.org/en/docs/http/ngx_http_gzip_static_module.html>

use std::cell::Cell;
use std::rc::Rc;

use super::gzip::{self, Rules};
use super::static_files;
use crate::conf::{Command, Inherit, LocationBuilder, Module, assign};
use crate::http::{FileKind, Filter, FilterSlot, Flow, HeaderId, Method, Phase, PhaseHandler, Request, Response};
use crate::log::Level;

/// `ngx_http_gzip_static_module`.
pub struct GzipStatic;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Off,
    On,
    Always,
}

/// One block's `gzip_static`.
#[derive(Default)]
pub struct Conf {
    mode: Option<Mode>,
}

const MODES: &[(&str, Mode)] = &[("off", Mode::Off), ("on", Mode::On), ("always", Mode::Always)];

impl Module for GzipStatic {
    type Conf = Conf;
    const NAME: &'static str = "http_gzip_static";
    const COMMANDS: &'static [Command<Conf>] =
        &[Command::custom("gzip_static", |c, args, _| assign(&mut c.mode, args, || args.one_of(1, MODES)))];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.mode.inherit(&parent.mode);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let always = match conf.mode {
            None | Some(Mode::Off) => return,
            Some(mode) => mode == Mode::Always,
        };
        let rules = location.conf::<gzip::Conf>().rules();
        if rules.vary && !always {
            location.filter(FilterSlot::NotModified, Vary);
        }
        location.on(Phase::Content, Handler { always, rules });
    }
}

struct Handler {
    always: bool,
    rules: Rules,
}

/// Whether a compressed file lies beside the one that is sent.
#[derive(Default)]
struct Found(Cell<bool>);

impl PhaseHandler for Handler {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        if !matches!(r.method.get(), Method::Get | Method::Head) || r.uri.borrow().ends_with(b"/") {
            return Flow::Declined;
        }
        let accepted = self.always || self.rules.accepts(r, &Response::default());
        if !accepted && !self.rules.vary {
            return Flow::Declined;
        }
        let Some(mut path) = r.map_uri() else { return Flow::Finalize(500) };
        path.extend_from_slice(b".gz");
        if accepted && let Some(response) = static_files::recall(r, &path) {
            return self.send(r, response);
        }
        let opened = match static_files::opening::open(r, &path) {
            Ok(opened) => opened,
            Err(fault) => {
                if !fault.is_absence() {
                    let level = if fault.is_refusal() { Level::Error } else { Level::Crit };
                    r.log_with(level, |line| {
                        line.put(fault.call).put(" \"").bytes(&path).put("\" failed").error(&fault.error);
                    });
                }
                return Flow::Declined;
            }
        };
        if !accepted {
            r.context::<Found>().0.set(true);
            return Flow::Declined;
        }
        match opened.stat.kind {
            FileKind::Directory => Flow::Declined,
            FileKind::Other => static_files::refuse_kind(r, &path),
            FileKind::File => self.send(r, static_files::respond(r, &path, opened)),
        }
    }
}

impl Handler {
    fn send(&self, r: &Request, mut response: Response) -> Flow {
        response.headers.push_id(HeaderId::ContentEncoding, b"gzip");
        if !self.always {
            r.context::<Found>().0.set(true);
        }
        Flow::respond(response)
    }
}

/// Caches are told that there are two, whichever is sent.
struct Vary;

impl Filter for Vary {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        response.gzip_vary |= r.context::<Found>().0.get();
        Ok(())
    }
}
