//! `http-splitting`: line breaks of a client's in a header.

use super::location_regex::{PATHS, printable, read};
use crate::{
    conf::pattern::{ByteSet, Machine, shortest},
    diag::{Diagnostic, Fix},
    http::LocationKind,
    lint::{Block, Rule, View, text::variables},
    syntax::{Directive, Word},
};

pub(super) static RULE: Rule = Rule {
    code: "http-splitting",
    title: "A client can put line breaks into a header",
    why: "`$uri` and what an expression captures are decoded: `%0d%0a` in a path is a line break in them. In a redirect or a header that \
          ends the header, and what follows is one of the client's: a cookie, a whole page. An expression that stops at \
          line breaks, such as `[^/\\s]*`, or `$request_uri`, which is not decoded, is safe. rnginx cuts line breaks out of headers, \
          nginx does not.",
    bad: "server {\n    listen 80;\n    location / {\n        return 301 https://shop.test$uri;\n    }\n}",
    good: "server {\n    listen 80;\n    location / {\n        return 301 https://shop.test$request_uri;\n    }\n}",
    allow: "Where only rnginx serves it.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.answering() {
        for one in block.directives() {
            let Some(word) = value(one) else { continue };
            if let Some((name, request)) =
                variables(word).into_iter().find_map(|name| Some((name.clone(), split(block, &name)?)))
            {
                out.push(said(one, word, &name, &request));
            }
        }
    }
}

/// The word that becomes a header.
fn value(one: &Directive) -> Option<&Word> {
    match &*one.name.value {
        b"return" => {
            let word = one.args.last()?;
            let code = one.args.first()?.text();
            let is_redirect = matches!(&*code, "301" | "302" | "303" | "307" | "308") || one.args.len() == 1;
            is_redirect.then_some(word)
        }
        b"add_header" | b"proxy_set_header" | b"add_trailer" => one.args.get(1),
        _ => None,
    }
}

fn said(one: &Directive, word: &Word, name: &str, request: &str) -> Diagnostic {
    let said = RULE.at(word.span, format!("\"GET {request}\" puts a line break into the header"));
    let said = said.related(one.name.span, "this becomes a header");
    if name == "uri" || name == "document_uri" {
        let text =
            word.text().replace(&format!("${name}"), "$request_uri").replace(&format!("${{{name}}}"), "$request_uri");
        return said
            .label("the path, decoded")
            .help("use `$request_uri`: it is not decoded")
            .fix(Fix::likely("use `$request_uri`").replace(word.span, text));
    }
    said.label(format!("`${name}` may hold a line break"))
        .help("let the expression stop at line breaks: `[^/\\s]*` instead of `[^/]*`")
}

/// A request whose path puts a line break into a variable.
fn split(block: Block<'_>, variable: &str) -> Option<String> {
    let location = block.location();
    let is_rewritten = location.is_some_and(|around| around.has("rewrite")) || block.server()?.has("rewrite");
    let name = location.and_then(Block::name);
    match variable {
        "uri" | "document_uri" => match (name, location.and_then(Block::prefix)) {
            _ if is_rewritten => None,
            (None, _) => Some("/%0d%0aX-Injected:%201".into()),
            (Some(_), Some(prefix)) => Some(format!("{prefix}%0d%0aX-Injected:%201")),
            (Some(name), None) if name.kind == LocationKind::Regex => in_pattern(name.text, name.caseless, None),
            _ => None,
        },
        _ => {
            let name = name.filter(|name| name.kind == LocationKind::Regex)?;
            // What an `if` or a `rewrite` matched since is what the numbers mean.
            let overwritten = variable.starts_with(|digit: char| digit.is_ascii_digit())
                && (is_rewritten || block.number() != location?.number());
            if overwritten { None } else { in_pattern(name.text, name.caseless, Some(variable)) }
        }
    }
}

/// A path that a pattern matches with a line break in it: in this group, where one is named.
fn in_pattern(text: &[u8], caseless: bool, group: Option<&str>) -> Option<String> {
    let pattern = read(text, caseless)?;
    if let Some(group) = group {
        let number = match group.parse::<usize>() {
            Ok(number) => number.checked_sub(1)?,
            Err(_) => pattern.groups.iter().position(|name| name.eq_ignore_ascii_case(group))?,
        };
        if !pattern.group(number)?.bytes().has(b'\n') {
            return None;
        }
    }
    let machine = Machine::new(&pattern.root)?;
    let broken = Machine::new(&crate::conf::pattern::Node::Set(ByteSet::one(b'\n')))?;
    let path = shortest(&[&machine, &PATHS, &broken], &[], printable() | ByteSet::one(b'\n')).text()?;
    Some(String::from_utf8(path).ok()?.replace('\n', "%0a"))
}
