//! `userid`: a cookie that tells clients apart. <https://nginx.org/en/docs/http/ngx_http_userid_module.html>

mod uid;

use std::rc::Rc;

use bytes::Bytes;

use self::uid::{Ids, Uid};
use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult, assign};
use crate::diag::{Diagnostic, Span};
use crate::http::{Filter, FilterSlot, HeaderId, Request, Response, VarIndex, VariableDef, base64, date, is_true};
use crate::log::Level;

/// `ngx_http_userid_filter_module`.
pub struct Userid;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    mode: Option<Mode>,
    flags: Option<u32>,
    service: Option<u64>,
    name: Option<Bytes>,
    domain: Option<Bytes>,
    path: Option<Bytes>,
    p3p: Option<Bytes>,
    expires: Option<Lifetime>,
    mark: Option<Option<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd)]
enum Mode {
    Off,
    /// Cookies are read and none is set.
    Log,
    V1,
    On,
}

const MODES: &[(&str, Mode)] = &[("off", Mode::Off), ("log", Mode::Log), ("v1", Mode::V1), ("on", Mode::On)];

/// How long the cookie is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lifetime {
    /// Until the browser is closed.
    Session,
    Max,
    Seconds(i64),
}

const FLAGS: &[(&str, u32)] = &[
    ("off", 0),
    ("secure", 1),
    ("httponly", 1 << 1),
    ("samesite=strict", 1 << 2),
    ("samesite=lax", 1 << 3),
    ("samesite=none", 1 << 4),
];

impl Module for Userid {
    type Conf = Conf;
    const NAME: &'static str = "http_userid";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("userid", |c, args, _| assign(&mut c.mode, args, || args.one_of(1, MODES))),
        Command::number("userid_service", |c| &mut c.service),
        Command::text("userid_name", |c| &mut c.name),
        Command::text("userid_domain", |c| &mut c.domain),
        Command::text("userid_path", |c| &mut c.path),
        Command::custom("userid_expires", set_expires),
        Command::custom("userid_flags", add_flags),
        Command::text("userid_p3p", |c| &mut c.p3p),
        Command::custom("userid_mark", set_mark),
    ];
    const VARIABLES: &'static [VariableDef] = &[
        VariableDef::new("uid_got", got).cached(),
        VariableDef::new("uid_set", set).cached(),
        VariableDef::new("uid_reset", |_, _| true).cached().changeable(),
    ];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.mode.inherit(&parent.mode);
        conf.flags.inherit(&parent.flags);
        conf.service.inherit(&parent.service);
        conf.name.inherit(&parent.name);
        conf.domain.inherit(&parent.domain);
        conf.path.inherit(&parent.path);
        conf.p3p.inherit(&parent.p3p);
        conf.expires.inherit(&parent.expires);
        conf.mark.inherit(&parent.mark);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let mode = conf.mode.unwrap_or(Mode::Off);
        if mode == Mode::Off {
            return;
        }
        location.extensions.insert(Settings {
            mode,
            service: conf.service.map(|service| service as u32),
            name: conf.name.clone().unwrap_or(Bytes::from_static(b"uid")),
            lifetime: conf.expires.unwrap_or(Lifetime::Session),
            behind: behind(conf),
            p3p: conf.p3p.clone().filter(|p3p| !p3p.is_empty() && p3p != "none"),
            mark: conf.mark.flatten(),
            reset: location.ctx.variable(b"uid_reset", Span::default()),
        });
        if mode >= Mode::V1 {
            location.filter(FilterSlot::Userid, SetCookie);
        }
    }
}

/// There is one `samesite`: the first one counts.
fn add_flags(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    const SAME_SITE: u32 = 0b11100;
    let flags = c.flags.get_or_insert_default();
    for index in 1..args.len() {
        let flag = args.one_of(index, FLAGS)?;
        if *flags & SAME_SITE & !flag != 0 && flag & SAME_SITE != 0 {
            let message = format!("duplicate value \"{}\"", args.text(index));
            let warning = Diagnostic::warning("duplicate-value", message).at(args.word(index).span);
            ctx.complain_in(args.directive(), warning);
        } else {
            *flags |= flag;
        }
    }
    Ok(())
}

fn set_expires(c: &mut Conf, args: &Args<'_>, _ctx: &mut Ctx<'_>) -> SetResult {
    assign(&mut c.expires, args, || match args.value(1) {
        b"max" => Ok(Lifetime::Max),
        b"off" => Ok(Lifetime::Session),
        _ => match args.sec(1)?.as_secs() {
            0 => Ok(Lifetime::Session),
            seconds => Ok(Lifetime::Seconds(i64::try_from(seconds).map_err(|_| args.invalid(1))?)),
        },
    })
}

fn set_mark(c: &mut Conf, args: &Args<'_>, _ctx: &mut Ctx<'_>) -> SetResult {
    assign(&mut c.mark, args, || match args.value(1) {
        b"off" => Ok(None),
        [mark] if mark.is_ascii_alphanumeric() || *mark == b'=' => Ok(Some(*mark)),
        _ => {
            let message = "\"userid_mark\" directive value must be \"off\" or a single letter, digit or \"=\"";
            Err(args.error(1, "invalid-value", message))
        }
    })
}

/// What a location does with the cookie.
struct Settings {
    mode: Mode,
    service: Option<u32>,
    name: Bytes,
    lifetime: Lifetime,
    /// Domain, path and flags.
    behind: Bytes,
    p3p: Option<Bytes>,
    mark: Option<u8>,
    reset: VarIndex,
}

/// What stands behind the cookie's value and its lifetime.
fn behind(conf: &Conf) -> Bytes {
    let mut out = Vec::new();
    if let Some(domain) = conf.domain.as_ref().filter(|domain| !domain.is_empty() && *domain != "none") {
        out.extend_from_slice(b"; domain=");
        out.extend_from_slice(domain);
    }
    out.extend_from_slice(b"; path=");
    out.extend_from_slice(conf.path.as_deref().unwrap_or(b"/"));
    let flags = conf.flags.unwrap_or(0);
    for (name, _) in FLAGS.iter().filter(|(_, bit)| flags & bit != 0) {
        out.extend_from_slice(b"; ");
        out.extend_from_slice(name.as_bytes());
    }
    out.into()
}

struct SetCookie;

impl Filter for SetCookie {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        let Some(settings) = r.location().extensions.get::<Settings>().filter(|_| r.is_main()) else { return Ok(()) };
        let ids = settings.settled(r);
        if ids.set.get() == Uid::NONE {
            return Ok(());
        }
        response.headers.push_id(HeaderId::SetCookie, &settings.cookie(&ids));
        if let Some(p3p) = &settings.p3p {
            response.headers.push(b"P3P", p3p);
        }
        Ok(())
    }
}

impl Settings {
    fn cookie(&self, ids: &Ids) -> Vec<u8> {
        let mut cookie = [&self.name, &b"="[..]].concat();
        let sent = ids.sent.borrow();
        match sent.get(..uid::LETTERS).filter(|_| !ids.reset.get() && ids.got.get() != Uid::NONE) {
            // The client's own, which only lacked its mark.
            Some(sent) => {
                cookie.extend_from_slice(sent);
                cookie.extend_from_slice(&[self.mark.unwrap_or(b'='), b'=']);
            }
            None => {
                base64::append(&ids.set.get().bytes(), &mut cookie);
                if let Some(mark) = self.mark {
                    let place = cookie.len() - 2;
                    cookie[place] = mark;
                }
            }
        }
        match self.lifetime {
            Lifetime::Session => {}
            Lifetime::Max => cookie.extend_from_slice(b"; expires=Thu, 31-Dec-37 23:55:55 GMT"),
            Lifetime::Seconds(seconds) => {
                cookie.extend_from_slice(b"; expires=");
                date::append_cookie(&mut cookie, date::now() + seconds);
            }
        }
        cookie.extend_from_slice(&self.behind);
        cookie
    }

    /// What the client sent.
    fn sent(&self, r: &Request) -> Rc<Ids> {
        let ids = r.context::<Ids>();
        if !ids.read.replace(true) {
            ids.read_cookie(r, &self.name);
        }
        ids
    }

    /// The same, and what the client is sent, which is settled once for a request.
    fn settled(&self, r: &Request) -> Rc<Ids> {
        let ids = self.sent(r);
        if self.mode >= Mode::V1 && ids.set.get() == Uid::NONE {
            ids.set.set(self.choose(r, &ids));
        }
        ids
    }

    /// What the client is sent: a new one, its own with a mark, or none.
    fn choose(&self, r: &Request, ids: &Ids) -> Uid {
        let got = ids.got.get();
        if got != Uid::NONE {
            let reset = r.variable(self.reset).unwrap_or_default();
            if !is_true(&reset) {
                let marked = |mark| ids.sent.borrow().get(uid::LETTERS..=uid::LETTERS + 1) == Some(&[mark, b'='][..]);
                return if self.mark.is_none_or(marked) { Uid::NONE } else { got };
            }
            ids.reset.set(true);
            if reset == b"log" {
                r.log_with(Level::Notice, |line| {
                    line.put("userid cookie \"").bytes(&self.name).put(format_args!("={got}\" was reset"));
                });
            }
        }
        match self.mode {
            Mode::V1 => Uid::first_version(self.service),
            _ => Uid::new(self.service, r.connection.local.map(|local| local.ip())),
        }
    }
}

fn settings(r: &Request) -> Option<(&Request, &Settings)> {
    let main = r.main.as_deref().unwrap_or(r);
    Some((main, main.location().extensions.get::<Settings>()?))
}

fn put(settings: &Settings, uid: Uid, out: &mut Vec<u8>) -> bool {
    if uid == Uid::NONE {
        return false;
    }
    out.extend_from_slice(&settings.name);
    out.extend_from_slice(format!("={uid}").as_bytes());
    true
}

/// `$uid_got`
fn got(r: &Request, out: &mut Vec<u8>) -> bool {
    settings(r).is_some_and(|(main, settings)| put(settings, settings.sent(main).got.get(), out))
}

/// `$uid_set`
fn set(r: &Request, out: &mut Vec<u8>) -> bool {
    settings(r).is_some_and(|(main, settings)| put(settings, settings.settled(main).set.get(), out))
}
