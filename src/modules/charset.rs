//! `charset`: names a response's charset, and recodes it where it has another. <https://nginx.org/en/docs/http/ngx_http_charset_module.html>

mod recode;
mod tables;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;

use self::tables::Charsets;
use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult, assign};
use crate::diag::Diagnostic;
use crate::http::{Filter, FilterSlot, HeaderId, MediaTypes, Request, Response, VarIndex};
use crate::log::Level;

/// `ngx_http_charset_filter_module`.
pub struct Charset;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    charset: Option<Option<Name>>,
    source: Option<Name>,
    replace: Option<bool>,
    types: Option<MediaTypes>,
}

/// A charset as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    /// By its number in [`Charsets`].
    Known(usize),
    /// By a variable.
    Variable(VarIndex),
}

const TYPES: &[&str] =
    &["text/html", "text/xml", "text/plain", "text/vnd.wap.wml", "application/javascript", "application/rss+xml"];

impl Module for Charset {
    type Conf = Conf;
    const NAME: &'static str = "http_charset";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("charset", |c, args, ctx| {
            assign(&mut c.charset, args, || match args.value(1) {
                b"off" => Ok(None),
                _ => name(args, ctx).map(Some),
            })
        }),
        Command::custom("source_charset", |c, args, ctx| assign(&mut c.source, args, || name(args, ctx))),
        Command::flag("override_charset", |c| &mut c.replace),
        Command::custom("charset_types", |c, args, _| {
            args.add_types(&mut c.types, &["text/html"]);
            Ok(())
        }),
        Command::custom("charset_map", add_map),
    ];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.charset.inherit(&parent.charset);
        conf.source.inherit(&parent.source);
        conf.replace.inherit(&parent.replace);
        conf.types.inherit(&parent.types);
    }

    fn finish(ctx: &mut Ctx<'_>) {
        let charsets = std::mem::take(ctx.collected::<Charsets>());
        if !charsets.is_empty() {
            ctx.extensions.insert(Arc::new(charsets));
        }
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let charset = conf.charset.flatten();
        let charsets = match (location.ctx.extensions.get::<Arc<Charsets>>(), charset) {
            (Some(charsets), _) => charsets.clone(),
            // Where variables alone name charsets none of them is known, but said.
            (None, Some(Name::Variable(_))) => Arc::default(),
            (None, _) => return,
        };
        if let (Some(Name::Known(to)), Some(Name::Known(from))) = (charset, conf.source)
            && from != to
            && charsets.table(from, to).is_none()
        {
            let at = location.ctx.place(location.node);
            let message = no_map(&charsets.name(from), &charsets.name(to));
            location.complain(Diagnostic::error("no-charset-map", message).at(at).after_reading());
        }
        location.filter(
            FilterSlot::Charset,
            Recode {
                charset,
                source: conf.source,
                replace: conf.replace.unwrap_or(false),
                types: types(conf),
                charsets,
            },
        );
    }
}

fn types(conf: &Conf) -> MediaTypes {
    conf.types.clone().unwrap_or_else(|| MediaTypes::new(TYPES.iter().map(|name| name.as_bytes())))
}

impl Conf {
    /// Whether HTML that says nothing of its charset will be said to be UTF-8; unknown where a variable says.
    pub(super) fn makes_html_utf8(&self, ctx: &Ctx<'_>) -> bool {
        let Some(Name::Known(number)) = self.charset.flatten() else { return false };
        let charsets = ctx.extensions.get::<Arc<Charsets>>();
        charsets.is_some_and(|charsets| charsets.is_utf8(number)) && types(self).contains(b"text/html")
    }
}

fn name(args: &Args<'_>, ctx: &mut Ctx<'_>) -> Result<Name, Diagnostic> {
    let word = args.word(1);
    match word.value.strip_prefix(b"$") {
        Some(b"") => Err(args.error(1, "invalid-variable", "invalid variable name \"$\"")),
        Some(variable) => Ok(Name::Variable(ctx.variable(variable, word.span))),
        None => Ok(Name::Known(ctx.collected::<Charsets>().add(&word.value))),
    }
}

fn add_map(_c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    ctx.collected::<Charsets>().add_map(args)
}

fn no_map(from: &[u8], to: &[u8]) -> String {
    let text = String::from_utf8_lossy;
    format!("no \"charset_map\" between the charsets \"{}\" and \"{}\"", text(from), text(to))
}

struct Recode {
    charset: Option<Name>,
    source: Option<Name>,
    replace: bool,
    types: MediaTypes,
    charsets: Arc<Charsets>,
}

/// A charset by name, and by number where the configuration names it.
struct Found {
    name: Bytes,
    number: Option<usize>,
}

/// What became of the main request's charset, for its subrequests.
#[derive(Default)]
struct OfMain(RefCell<Option<Bytes>>);

/// Without the value of a variable there is no answer.
const NO_ANSWER: u16 = 444;

impl Filter for Recode {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        let own = declared(response);
        let wanted = if r.is_main() { self.wanted(r, response, own.as_ref())? } else { self.of_main(r) };
        if let Some(wanted) = wanted {
            self.recode(r, response, wanted, own)?;
        }
        if r.is_main() {
            *r.context::<OfMain>().0.borrow_mut() = declared(response);
        }
        Ok(())
    }
}

impl Recode {
    fn wanted(&self, r: &Request, response: &Response, declared: Option<&Bytes>) -> Result<Option<Found>, u16> {
        if response.content_type.is_none() {
            return Ok(None);
        }
        let override_charset = r.out.override_charset.borrow().clone();
        if let Some(name) = override_charset.filter(|name| !name.is_empty()) {
            let found = self.find(name);
            if found.number.is_some() {
                return Ok(Some(found));
            }
            r.log_with(Level::Error, |line| {
                line.put("unknown charset \"").bytes(&found.name).put("\" to override");
            });
            return Ok(None);
        }
        let Some(charset) = self.charset else { return Ok(None) };
        let applies = if declared.is_some() { self.replace } else { response.has_type(&self.types) };
        if applies { self.resolve(r, charset).map(Some) } else { Ok(None) }
    }

    fn of_main(&self, r: &Rc<Request>) -> Option<Found> {
        let name = r.main().context::<OfMain>().0.borrow().clone()?;
        Some(self.find(name))
    }

    fn resolve(&self, r: &Request, name: Name) -> Result<Found, u16> {
        match name {
            Name::Known(number) => Ok(Found { name: self.charsets.name(number), number: Some(number) }),
            Name::Variable(index) => Ok(self.find(r.variable(index).ok_or(NO_ANSWER)?.into())),
        }
    }

    fn find(&self, name: Bytes) -> Found {
        Found { number: self.charsets.find(&name), name }
    }

    fn recode(&self, r: &Request, response: &mut Response, to: Found, declared: Option<Bytes>) -> Result<(), u16> {
        let from = match (declared, self.source) {
            (Some(name), _) => self.find(name),
            (None, Some(name)) => self.resolve(r, name)?,
            (None, None) => {
                set_charset(r, response, to.name);
                return Ok(());
            }
        };
        let complain = || {
            r.log_with(Level::Error, |line| {
                line.put(no_map(&from.name, &to.name));
            });
        };
        let (Some(source), Some(target)) = (from.number, to.number) else {
            if from.number != to.number || !is_prefix(&to.name, &from.name) {
                complain();
            } else {
                set_charset(r, response, to.name);
            }
            return Ok(());
        };
        let table = if source == target {
            None
        } else {
            if response.headers.get(HeaderId::ContentEncoding).is_some_and(|encoding| !encoding.is_empty()) {
                return Ok(());
            }
            let Some(table) = self.charsets.table(source, target) else {
                complain();
                return Ok(());
            };
            Some(table)
        };
        if let Some((length, _)) = response.charset_in_type.take() {
            response.content_type = response.content_type.as_ref().map(|name| name.slice(..length));
        }
        set_charset(r, response, to.name);
        if let Some(table) = table {
            if table.changes_length() && r.is_main() {
                response.clear_content_length();
            }
            response.body = recode::recode(std::mem::take(&mut response.body), table.clone());
        }
        Ok(())
    }
}

/// nginx compares as many letters as the first name has.
fn is_prefix(name: &[u8], of: &[u8]) -> bool {
    of.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name))
}

fn set_charset(r: &Request, response: &mut Response, name: Bytes) {
    if !r.is_main() || response.charset_in_type.is_some() {
        return;
    }
    // Old browsers took the charset of a redirect for that of the page behind it.
    response.charset = (!matches!(response.status, 301 | 302) && !name.is_empty()).then_some(name);
}

/// The charset that the response says it has.
fn declared(response: &Response) -> Option<Bytes> {
    let in_type = response.charset_in_type.as_ref().map(|(_, name)| name);
    response.charset.as_ref().or(in_type).filter(|name| !name.is_empty()).cloned()
}
