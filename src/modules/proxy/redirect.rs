//! `proxy_redirect`: what becomes of `Location` and `Refresh`.

use std::sync::Arc;

use bytes::Bytes;

use super::Conf;
use super::pass::Pass;
use crate::conf::{Args, Ctx, SetResult};
use crate::diag::Diagnostic;
use crate::http::{Regex, Request, Script};

/// A text that is looked for, and what takes its place.
pub(super) struct Rule {
    pub(super) pattern: Pattern,
    pub(super) replacement: Script,
}

/// What a rule looks for.
pub(super) enum Pattern {
    /// Text at the beginning.
    Prefix(Script),
    /// All of it, as a domain: in any case, with or without a dot before it.
    Domain(Script),
    Regex(Regex),
}

impl Rule {
    /// The value with the part behind `from` changed; `None` where the rule does not fit.
    pub(super) fn apply(&self, r: &Request, value: &[u8], from: usize) -> Option<Vec<u8>> {
        let subject = &value[from..];
        let (start, length) = match &self.pattern {
            Pattern::Prefix(script) => {
                let pattern = script.eval(r);
                (from, subject.starts_with(&pattern).then_some(pattern.len())?)
            }
            Pattern::Domain(script) => {
                let dot = usize::from(subject.starts_with(b"."));
                let domain = &subject[dot..];
                (from + dot, domain.eq_ignore_ascii_case(&script.eval(r)).then_some(domain.len())?)
            }
            Pattern::Regex(regex) => (from, regex.exec(r, subject).ok()?.then_some(subject.len())?),
        };
        let mut changed = Vec::with_capacity(value.len() + 32);
        changed.extend_from_slice(&value[..start]);
        self.replacement.append(r, &mut changed);
        changed.extend_from_slice(&value[start + length..]);
        Some(changed)
    }
}

/// The value as the first rule that fits makes it.
pub(super) fn apply_first(rules: &[Arc<Rule>], r: &Request, value: &[u8], from: usize) -> Option<Vec<u8>> {
    rules.iter().find_map(|rule| rule.apply(r, value, from))
}

/// All `proxy_redirect` of a block.
#[derive(Clone, Default)]
pub(super) struct Redirects {
    /// `off` is `Some(false)`.
    on: Option<bool>,
    rules: Vec<Arc<Rule>>,
}

impl Redirects {
    /// Takes the rules of the block around; where there are none, `proxy_pass` gives one.
    pub(super) fn inherit(&mut self, parent: &Self, pass: Option<&Pass>) {
        if self.on.is_none() {
            self.on = Some(parent.on.unwrap_or(true));
        }
        if self.on == Some(true) && self.rules.is_empty() {
            self.rules.clone_from(&parent.rules);
            if self.rules.is_empty() {
                self.rules.extend(pass.and_then(default_rule).map(Arc::new));
            }
        }
    }

    /// The rules in the order in which they are tried.
    pub(super) fn settled(&self) -> Vec<Arc<Rule>> {
        if self.on == Some(false) { Vec::new() } else { self.rules.clone() }
    }
}

/// What `proxy_redirect default` says: the URL of `proxy_pass` becomes the location's name.
fn default_rule(pass: &Pass) -> Option<Rule> {
    let Pass::Fixed { url, vars, location, .. } = pass else { return None };
    let (pattern, replacement) = match vars.uri.is_empty() {
        true => ([&url[..], b"/"].concat().into(), Bytes::from_static(b"/")),
        false => (url.clone(), location.clone()),
    };
    Some(Rule { pattern: Pattern::Prefix(Script::constant(pattern)), replacement: Script::constant(replacement) })
}

pub(super) fn add(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let redirects = &mut c.redirects;
    if redirects.on == Some(false) {
        return Err(args.duplicate());
    }
    if args.len() > 2 {
        let rule = Rule { pattern: pattern(args, ctx)?, replacement: ctx.script(args.word(2))? };
        redirects.rules.push(Arc::new(rule));
        redirects.on = Some(true);
        return Ok(());
    }
    match args.value(1) {
        b"off" if !redirects.rules.is_empty() => return Err(args.duplicate()),
        b"off" => redirects.on = Some(false),
        b"default" => {
            let rule = default_of_block(c.pass.as_ref(), args)?;
            redirects.rules.push(Arc::new(rule));
            redirects.on = Some(true);
        }
        _ => return Err(args.invalid_parameter(1)),
    }
    Ok(())
}

fn default_of_block(pass: Option<&Pass>, args: &Args<'_>) -> Result<Rule, Diagnostic> {
    let fault = |message: &str| args.error(1, "proxy-redirect-default", message);
    match pass {
        Some(pass) => default_rule(pass).ok_or_else(|| {
            fault("\"proxy_redirect default\" cannot be used with \"proxy_pass\" directive with variables")
        }),
        None => Err(fault("\"proxy_redirect default\" should be placed after the \"proxy_pass\" directive")),
    }
}

/// `~` and `~*` begin regular expressions.
pub(super) fn pattern(args: &Args<'_>, ctx: &mut Ctx<'_>) -> Result<Pattern, Diagnostic> {
    let word = args.word(1);
    Ok(match &*word.value {
        [b'~', b'*', regex @ ..] => Pattern::Regex(ctx.regex(word, regex, true)?),
        [b'~', regex @ ..] => Pattern::Regex(ctx.regex(word, regex, false)?),
        _ => Pattern::Prefix(ctx.script(word)?),
    })
}
