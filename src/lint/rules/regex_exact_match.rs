//! `regex-exact-match`: an expression for one path.

use crate::{
    diag::{Diagnostic, Fix},
    http::LocationKind,
    lint::{Rule, View},
    schema::Context,
};

pub(super) static RULE: Rule = Rule {
    code: "regex-exact-match",
    title: "An expression is asked for the one path it can match",
    why: "`~ ^/status$` is `= /status` done the long way: expressions are tried one after the other for every request, a path is found at \
          once. And other expressions before it may take its requests.",
    bad: "location ~ ^/status$ {\n    return 204;\n}",
    good: "location = /status {\n    return 204;\n}",
    allow: "Where it stands in a list with others and is meant to stay like them.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::LOCATION) {
        let Some(name) = block.name().filter(|name| name.kind == LocationKind::Regex && !name.caseless) else {
            continue;
        };
        let Some(path) = name.text.strip_prefix(b"^").and_then(|text| text.strip_suffix(b"$")).and_then(literal) else {
            continue;
        };
        let said =
            RULE.at(block.place(), format!("only \"GET {path}\" matches")).help(format!("write `location = {path}`"));
        let first = block.args().first().map_or(name.word.span, |word| word.span);
        let whole = crate::diag::Span { end: name.word.span.end, ..first };
        out.push(said.fix(Fix::likely("name the path").replace(whole, format!("= {path}"))));
    }
}

/// The one text that a pattern without its anchors matches.
fn literal(pattern: &[u8]) -> Option<String> {
    let mut text = String::new();
    let mut bytes = pattern.iter();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'\\' => bytes.next().filter(|byte| matches!(byte, b'.' | b'-' | b'/' | b'_'))?,
            b'.' | b'(' | b')' | b'[' | b']' | b'{' | b'}' | b'*' | b'+' | b'?' | b'|' | b'$' | b'^' => return None,
            _ => byte,
        };
        text.push(char::from(*byte));
    }
    (text.starts_with('/') && text.is_ascii()).then_some(text)
}
