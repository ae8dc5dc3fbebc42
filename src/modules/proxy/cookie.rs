//! `proxy_cookie_domain`, `proxy_cookie_path`, `proxy_cookie_flags`: what becomes of `Set-Cookie`.

use std::sync::Arc;

use super::Conf;
use super::redirect::{Pattern, Rule, apply_first, pattern};
use crate::conf::{Args, Ctx, Inherit, SetResult};
use crate::http::{Regex, Request, Script};

/// The rules of a block. An empty list that is set is `off`.
#[derive(Clone, Default)]
pub(super) struct Cookies {
    domains: Option<Vec<Arc<Rule>>>,
    paths: Option<Vec<Arc<Rule>>>,
    flags: Option<Vec<Arc<FlagsRule>>>,
}

/// The rules with every default resolved.
pub(super) struct SettledCookies {
    domains: Vec<Arc<Rule>>,
    paths: Vec<Arc<Rule>>,
    flags: Vec<Arc<FlagsRule>>,
}

/// One `proxy_cookie_flags`.
pub(super) struct FlagsRule {
    cookie: CookieName,
    flags: Vec<Script>,
}

enum CookieName {
    Is(Script),
    Matches(Regex),
}

impl Cookies {
    pub(super) fn inherit(&mut self, parent: &Self) {
        self.domains.inherit(&parent.domains);
        self.paths.inherit(&parent.paths);
        self.flags.inherit(&parent.flags);
    }

    pub(super) fn settled(&self) -> SettledCookies {
        SettledCookies {
            domains: self.domains.clone().unwrap_or_default(),
            paths: self.paths.clone().unwrap_or_default(),
            flags: self.flags.clone().unwrap_or_default(),
        }
    }
}

/// The list to add to; `None` where the directive says `off`.
fn open<'c, T>(
    list: &'c mut Option<Vec<T>>,
    args: &Args<'_>,
) -> Result<Option<&'c mut Vec<T>>, crate::diag::Diagnostic> {
    if list.as_ref().is_some_and(Vec::is_empty) {
        return Err(args.duplicate());
    }
    if args.len() > 2 {
        return Ok(Some(list.get_or_insert_default()));
    }
    match args.value(1) {
        b"off" if list.is_some() => Err(args.duplicate()),
        b"off" => {
            *list = Some(Vec::new());
            Ok(None)
        }
        _ => Err(args.invalid_parameter(1)),
    }
}

pub(super) fn add_domain(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let Some(list) = open(&mut c.cookies.domains, args)? else { return Ok(()) };
    let word = args.word(1);
    let rule = match &*word.value {
        [b'~', regex @ ..] => {
            Rule { pattern: Pattern::Regex(ctx.regex(word, regex, true)?), replacement: ctx.script(args.word(2))? }
        }
        text => {
            let pattern = ctx.script_from(word, text.strip_prefix(b".").unwrap_or(text))?;
            let text = args.value(2);
            let replacement = ctx.script_from(args.word(2), text.strip_prefix(b".").unwrap_or(text))?;
            Rule { pattern: Pattern::Domain(pattern), replacement }
        }
    };
    list.push(Arc::new(rule));
    Ok(())
}

pub(super) fn add_path(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let Some(list) = open(&mut c.cookies.paths, args)? else { return Ok(()) };
    list.push(Arc::new(Rule { pattern: pattern(args, ctx)?, replacement: ctx.script(args.word(2))? }));
    Ok(())
}

pub(super) fn add_flags(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let Some(list) = open(&mut c.cookies.flags, args)? else { return Ok(()) };
    let word = args.word(1);
    let cookie = match &*word.value {
        [b'~', regex @ ..] => CookieName::Matches(ctx.regex(word, regex, true)?),
        _ => CookieName::Is(ctx.script(word)?),
    };
    let flags = (2..args.len()).map(|index| ctx.script(args.word(index))).collect::<Result<_, _>>()?;
    list.push(Arc::new(FlagsRule { cookie, flags }));
    Ok(())
}

/// `name=value`, or a name alone.
struct Attribute {
    name: Vec<u8>,
    value: Option<Vec<u8>>,
}

impl Attribute {
    fn bare(name: &str) -> Self {
        Self { name: name.into(), value: None }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    fn same_site(wanted: SameSite) -> Self {
        Self { name: b"SameSite".to_vec(), value: Some(wanted.name().into()) }
    }

    /// Makes a `SameSite` say this, unless it does; `true`, for it stays.
    fn set_same_site(&mut self, wanted: SameSite) -> bool {
        let says = |value: &Vec<u8>| value.eq_ignore_ascii_case(wanted.name().as_bytes());
        if !self.value.as_ref().is_some_and(says) {
            *self = Self::same_site(wanted);
        }
        true
    }
}

impl SettledCookies {
    /// A `Set-Cookie` value changed; `None` where it stays as it is.
    pub(super) fn apply(&self, r: &Request, value: &[u8]) -> Option<Vec<u8>> {
        if self.domains.is_empty() && self.paths.is_empty() && self.flags.is_empty() {
            return None;
        }
        let mut attributes = parse(value);
        attributes[0].value.as_ref()?;
        let mut changed = false;
        for attribute in &mut attributes[1..] {
            let rules = match () {
                () if attribute.is("domain") => &self.domains,
                () if attribute.is("path") => &self.paths,
                () => continue,
            };
            if let Some(value) = &mut attribute.value
                && let Some(new) = apply_first(rules, r, value, 0)
            {
                *value = new;
                changed = true;
            }
        }
        changed |= self.apply_flags(r, &mut attributes);
        changed.then(|| write(&attributes))
    }

    fn apply_flags(&self, r: &Request, attributes: &mut Vec<Attribute>) -> bool {
        let name = &attributes[0].name;
        let fits = |rule: &&Arc<FlagsRule>| match &rule.cookie {
            CookieName::Is(script) => script.eval(r).eq_ignore_ascii_case(name),
            CookieName::Matches(regex) => regex.exec(r, name).unwrap_or(false),
        };
        let Some(rule) = self.flags.iter().find(fits) else { return false };
        let mut wanted = Flags::default();
        rule.flags.iter().for_each(|script| wanted.add(&script.eval(r)));
        wanted.any() && {
            wanted.edit(attributes);
            true
        }
    }
}

fn parse(value: &[u8]) -> Vec<Attribute> {
    let trim = |bytes: &[u8]| {
        let start = bytes.iter().position(|byte| *byte != b' ').unwrap_or(bytes.len());
        let end = bytes.iter().rposition(|byte| *byte != b' ').map_or(start, |last| last + 1);
        bytes[start..end.max(start)].to_vec()
    };
    let attribute = |text: &[u8]| match memchr::memchr(b'=', text) {
        Some(at) => Attribute { name: trim(&text[..at]), value: Some(trim(&text[at + 1..])) },
        None => Attribute { name: trim(text), value: None },
    };
    value.split(|byte| *byte == b';').map(attribute).collect()
}

fn write(attributes: &[Attribute]) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, attribute) in attributes.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b"; ");
        }
        out.extend_from_slice(&attribute.name);
        if let Some(value) = &attribute.value {
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
    out
}

/// Flags that are wanted or not; nothing is said of those that are `None`.
#[derive(Default)]
struct Flags {
    secure: Option<bool>,
    http_only: Option<bool>,
    /// A value, or none at all.
    same_site: Option<Option<SameSite>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum SameSite {
    Strict,
    Lax,
    None,
}

impl SameSite {
    fn name(self) -> &'static str {
        match self {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        }
    }
}

impl Flags {
    /// Takes a word; what is no flag is passed over. Of flags that say the opposite the one that sets counts.
    fn add(&mut self, word: &[u8]) {
        let set = |flag: &mut Option<bool>, on: bool| *flag = Some(on || *flag == Some(true));
        match &*word.to_ascii_lowercase() {
            b"secure" => set(&mut self.secure, true),
            b"nosecure" => set(&mut self.secure, false),
            b"httponly" => set(&mut self.http_only, true),
            b"nohttponly" => set(&mut self.http_only, false),
            b"samesite=strict" => self.set_same_site(SameSite::Strict),
            b"samesite=lax" => self.set_same_site(SameSite::Lax),
            b"samesite=none" => self.set_same_site(SameSite::None),
            b"nosamesite" => {
                self.same_site.get_or_insert(None);
            }
            _ => {}
        }
    }

    fn set_same_site(&mut self, wanted: SameSite) {
        let strictest = self.same_site.flatten().map_or(wanted, |have| have.min(wanted));
        self.same_site = Some(Some(strictest));
    }

    fn any(&self) -> bool {
        self.secure.is_some() || self.http_only.is_some() || self.same_site.is_some()
    }

    /// Changes the flags that are there, and adds those that are missing.
    fn edit(&self, attributes: &mut Vec<Attribute>) {
        let (mut secure, mut http_only, mut same_site) = (self.secure, self.http_only, self.same_site.flatten());
        let mut first = true;
        attributes.retain_mut(|attribute| {
            if std::mem::take(&mut first) {
                return true;
            }
            if attribute.is("samesite") {
                return match same_site.take() {
                    Some(wanted) => attribute.set_same_site(wanted),
                    None => self.same_site != Some(None),
                };
            }
            let flag = match () {
                () if attribute.is("secure") => &mut secure,
                () if attribute.is("httponly") => &mut http_only,
                () => return true,
            };
            if *flag == Some(true) {
                *flag = None;
                return true;
            }
            *flag != Some(false)
        });
        if secure == Some(true) {
            attributes.push(Attribute::bare("Secure"));
        }
        if http_only == Some(true) {
            attributes.push(Attribute::bare("HttpOnly"));
        }
        if let Some(wanted) = same_site {
            attributes.push(Attribute::same_site(wanted));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(value: &str, flags: &[&str]) -> String {
        let mut wanted = Flags::default();
        flags.iter().for_each(|flag| wanted.add(flag.as_bytes()));
        let mut attributes = parse(value.as_bytes());
        wanted.edit(&mut attributes);
        String::from_utf8(write(&attributes)).unwrap()
    }

    #[test]
    fn reads_attributes_as_nginx_does() {
        assert_eq!(write(&parse(b" a = b ;Path= /x;  Secure;")), b"a=b; Path=/x; Secure; ");
    }

    #[test]
    fn sets_and_takes_flags() {
        assert_eq!(edited("a=b", &["secure", "httponly", "samesite=lax"]), "a=b; Secure; HttpOnly; SameSite=Lax");
        assert_eq!(
            edited("a=b; secure; SameSite=None", &["Secure", "samesite=STRICT"]),
            "a=b; secure; SameSite=Strict"
        );
        assert_eq!(
            edited("a=b; Secure; HttpOnly; samesite=lax; Path=/", &["nosecure", "nohttponly", "nosamesite"]),
            "a=b; Path=/"
        );
        assert_eq!(edited("a=b; samesite=lax", &["samesite=lax"]), "a=b; samesite=lax");
    }
}
