//! `unescaped-dot`: a dot that stands for any byte.

use super::location_regex::{path_of, printable, read};
use crate::{
    conf::pattern::{Machine, shortest},
    diag::{Diagnostic, Fix, Span},
    http::LocationKind,
    lint::{Rule, View},
    schema::Context,
    syntax::Word,
};

pub(super) static RULE: Rule = Rule {
    code: "unescaped-dot",
    title: "A dot in an expression stands for any letter",
    why: "In a regular expression a dot matches any byte; the dot itself is `\\.`. `.php` is found in `/graphphp`, and the name \
          `~^www.shop.test$` in `wwwxshop.test`.",
    bad: "location ~ .php {\n    return 403;\n}",
    good: "location ~ \\.php$ {\n    return 403;\n}",
    allow: "Where any byte is meant.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::LOCATION) {
        let Some(name) = block.name().filter(|name| name.kind == LocationKind::Regex) else { continue };
        let Some((meant, ours, theirs)) = difference(name.text, name.caseless) else { continue };
        if let Some(path) = path_of(&[&ours], &[&theirs]) {
            out.push(said(name.word, &meant, format!("\"GET {path}\" matches, too"), block.place()));
        }
    }
    for (_, names) in view.every("server_name") {
        for word in &names.args {
            let Some(text) = word.value.strip_prefix(b"~") else { continue };
            let Some((meant, ours, theirs)) = difference(text, false) else { continue };
            let found =
                shortest(&[&ours], &[&theirs], printable()).text().and_then(|text| String::from_utf8(text).ok());
            if let Some(host) = found {
                out.push(said(word, &format!("~{meant}"), format!("\"Host: {host}\" matches, too"), word.span));
            }
        }
    }
}

fn said(word: &Word, meant: &str, message: String, at: Span) -> Diagnostic {
    let said = RULE.at(at, message).label("the dot stands for any letter").help(format!("write `{meant}`"));
    // An expression that was written without escapes is replaced whole; others may stand in quotes.
    if word.quoted { said } else { said.fix(Fix::likely("put a backslash before the dot").replace(word.span, meant)) }
}

/// The pattern with its literal dots escaped, where it has some that are not; and the machines of both.
fn difference(text: &[u8], caseless: bool) -> Option<(String, Machine, Machine)> {
    let pattern = read(text, caseless)?;
    let dots: Vec<_> = pattern.dots.iter().copied().filter(|dot| is_literal(text, *dot)).collect();
    if dots.is_empty() {
        return None;
    }
    let mut meant = Vec::new();
    for (at, byte) in text.iter().enumerate() {
        if dots.contains(&at) {
            meant.push(b'\\');
        }
        meant.push(*byte);
    }
    let theirs = Machine::new(&read(&meant, caseless)?.root)?;
    Some((String::from_utf8(meant).ok()?, Machine::new(&pattern.root)?, theirs))
}

/// Whether a dot stands before a word, as in `.php` and `www.shop.test`.
fn is_literal(text: &[u8], dot: usize) -> bool {
    let behind =
        text[dot + 1..].strip_prefix(b"(").or(text[dot + 1..].strip_prefix(b"(?:")).unwrap_or(&text[dot + 1..]);
    let letters = behind.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    letters >= 2 && !matches!(behind.get(letters), Some(b'*' | b'+' | b'?'))
}
