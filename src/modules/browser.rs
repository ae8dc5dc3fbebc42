//! `modern_browser`, `ancient_browser`: browsers by name and version. <https://nginx.org/en/docs/http/ngx_http_browser_module.html>

use std::sync::Arc;

use bytes::Bytes;
use memchr::memmem;

use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult};
use crate::http::browser::Browser;
use crate::http::{HeaderId, Request, VariableDef};

/// `ngx_http_browser_module`.
pub struct Browsers;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    modern: Vec<Modern>,
    unlisted: bool,
    ancient: Vec<Bytes>,
    netscape4: bool,
    modern_value: Option<Bytes>,
    ancient_value: Option<Bytes>,
}

/// A browser that is modern from a version on.
#[derive(Clone, Copy, Debug)]
struct Modern {
    kind: usize,
    /// Two digits for each number of the version but the first: 1.2.3.4 is 1020304.
    version: u64,
}

/// How a browser is known.
struct Kind {
    /// Its name in the configuration.
    name: &'static str,
    /// What its `User-Agent` begins with; only the length counts.
    start: &'static str,
    /// What is looked for behind the start.
    mark: &'static str,
    /// What stands before the version, from the mark on; only the length counts.
    before: &'static str,
}

/// Opera is the first to look for, because it may call itself MSIE.
const KINDS: &[Kind] = &[
    Kind { name: "opera", start: "", mark: "Opera", before: "Opera " },
    Kind { name: "msie", start: "Mozilla/4.0 (compatible; ", mark: "MSIE ", before: "MSIE " },
    Kind { name: "gecko", start: "Mozilla/5.0 (", mark: "rv:", before: "rv:" },
    Kind { name: "safari", start: "Mozilla/5.0 (", mark: "Safari/", before: "Safari/" },
    Kind { name: "konqueror", start: "Mozilla/5.0 (compatible; ", mark: "Konqueror/", before: "Konqueror/" },
];

const OPERA: usize = 0;

/// A version that no browser will reach.
const NEVER: u64 = 4_001_000_000;

impl Module for Browsers {
    type Conf = Conf;
    const NAME: &'static str = "http_browser";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("modern_browser", add_modern),
        Command::custom("ancient_browser", add_ancient),
        Command::custom("modern_browser_value", |c, args, _| {
            c.modern_value = Some(args.bytes(1));
            Ok(())
        }),
        Command::custom("ancient_browser_value", |c, args, _| {
            c.ancient_value = Some(args.bytes(1));
            Ok(())
        }),
    ];
    const VARIABLES: &'static [VariableDef] = &[
        VariableDef::new("msie", msie).cached().changeable(),
        VariableDef::new("modern_browser", modern_browser).cached().changeable(),
        VariableDef::new("ancient_browser", ancient_browser).cached().changeable(),
    ];

    fn merge(parent: &Conf, conf: &mut Conf) {
        if conf.modern.is_empty() && !conf.unlisted {
            conf.modern.clone_from(&parent.modern);
            conf.unlisted = parent.unlisted;
        }
        if conf.ancient.is_empty() && !conf.netscape4 {
            conf.ancient.clone_from(&parent.ancient);
            conf.netscape4 = parent.netscape4;
        }
        conf.modern_value.inherit(&parent.modern_value);
        conf.ancient_value.inherit(&parent.ancient_value);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let says_nothing = conf.modern.is_empty() && conf.ancient.is_empty() && !conf.unlisted && !conf.netscape4;
        if says_nothing && conf.modern_value.is_none() && conf.ancient_value.is_none() {
            return;
        }
        let mut modern = conf.modern.clone();
        if !modern.is_empty() && modern.iter().all(|browser| browser.kind != OPERA) {
            modern.push(Modern { kind: OPERA, version: NEVER });
        }
        modern.sort_by_key(|browser| browser.kind);
        let value = |value: &Option<Bytes>| value.clone().unwrap_or(Bytes::from_static(b"1"));
        location.extensions.insert(Settled {
            modern: modern.into(),
            unlisted: conf.unlisted,
            ancient: conf.ancient.as_slice().into(),
            netscape4: conf.netscape4,
            modern_value: value(&conf.modern_value),
            ancient_value: value(&conf.ancient_value),
        });
    }
}

fn add_modern(c: &mut Conf, args: &Args<'_>, _: &mut Ctx<'_>) -> SetResult {
    if args.len() == 2 {
        if args.value(1) != b"unlisted" {
            return Err(args.invalid_parameter(1));
        }
        c.unlisted = true;
        return Ok(());
    }
    let kind = KINDS.iter().position(|kind| kind.name.as_bytes().eq_ignore_ascii_case(args.value(1)));
    let kind =
        kind.ok_or_else(|| args.error(1, "invalid-value", format!("unknown browser name \"{}\"", args.text(1))))?;
    let mut version = Version::default();
    if !args.value(2).iter().all(|byte| version.take(*byte)) {
        return Err(args.error(2, "invalid-value", format!("invalid browser version \"{}\"", args.text(2))));
    }
    c.modern.push(Modern { kind, version: version.number() });
    Ok(())
}

fn add_ancient(c: &mut Conf, args: &Args<'_>, _: &mut Ctx<'_>) -> SetResult {
    for index in 1..args.len() {
        match args.value(index) {
            b"netscape4" => c.netscape4 = true,
            _ => c.ancient.push(args.bytes(index)),
        }
    }
    Ok(())
}

/// A version that is being read.
struct Version {
    settled: u64,
    last: u64,
    scale: u64,
}

impl Default for Version {
    fn default() -> Self {
        Self { settled: 0, last: 0, scale: 1_000_000 }
    }
}

impl Version {
    /// Takes a digit or dot; `false` for anything else.
    fn take(&mut self, byte: u8) -> bool {
        match byte {
            b'0'..=b'9' => self.last = self.last.wrapping_mul(10).wrapping_add(u64::from(byte - b'0')),
            b'.' => {
                self.settled = self.number();
                self.last = 0;
                self.scale /= 100;
            }
            _ => return false,
        }
        true
    }

    fn number(&self) -> u64 {
        self.settled.wrapping_add(self.last.wrapping_mul(self.scale))
    }
}

/// What a request meets.
struct Settled {
    modern: Arc<[Modern]>,
    unlisted: bool,
    ancient: Arc<[Bytes]>,
    netscape4: bool,
    modern_value: Bytes,
    ancient_value: Bytes,
}

impl Settled {
    fn is_modern(&self, agent: Option<&[u8]>) -> bool {
        let Some(agent) = agent else { return self.unlisted };
        if let Some(answer) = self.modern.iter().find_map(|browser| browser.judge(agent)) {
            return answer;
        }
        if !self.modern.is_empty() && !self.unlisted {
            return false;
        }
        if self.netscape4 && is_netscape4(agent) {
            return false;
        }
        self.unlisted && !self.ancient.iter().any(|name| memmem::find(agent, name).is_some())
    }
}

impl Modern {
    /// Whether the browser is new enough; `None` where it is another one.
    fn judge(&self, agent: &[u8]) -> Option<bool> {
        let kind = &KINDS[self.kind];
        let rest = agent.get(kind.start.len()..)?;
        let rest = &rest[memmem::find(rest, kind.mark.as_bytes())?..];
        let digits = rest.get(kind.before.len()..).filter(|digits| !digits.is_empty())?;
        let mut version = Version::default();
        for byte in digits {
            if !version.take(*byte) {
                break;
            }
            if *byte == b'.' && version.number() > self.version {
                return Some(true);
            }
        }
        Some(version.number() >= self.version)
    }
}

fn is_netscape4(agent: &[u8]) -> bool {
    let is_long = agent.len() > "Mozilla/4.72 ".len();
    is_long && agent.strip_prefix(b"Mozilla/").is_some_and(|version| matches!(version[0], b'1'..=b'4'))
}

fn is_modern(r: &Request) -> bool {
    let agent = r.header(HeaderId::UserAgent);
    r.location().extensions.get::<Settled>().is_some_and(|settled| settled.is_modern(agent.as_deref()))
}

fn modern_browser(r: &Request, out: &mut Vec<u8>) -> bool {
    if is_modern(r)
        && let Some(settled) = r.location().extensions.get::<Settled>()
    {
        out.extend_from_slice(&settled.modern_value);
    }
    true
}

fn ancient_browser(r: &Request, out: &mut Vec<u8>) -> bool {
    if !is_modern(r) {
        let settled = r.location().extensions.get::<Settled>();
        out.extend_from_slice(settled.map_or(b"1", |settled| &settled.ancient_value));
    }
    true
}

fn msie(r: &Request, out: &mut Vec<u8>) -> bool {
    if r.header(HeaderId::UserAgent).is_some_and(|agent| Browser::of(&agent).msie) {
        out.push(b'1');
    }
    true
}
