//! `unanchored-regex`: an ending that is found in the middle too.

use super::location_regex::{machine, path_of};
use crate::{
    conf::pattern::{Machine, Pattern},
    diag::{Diagnostic, Fix},
    http::LocationKind,
    lint::{Block, Rule, View},
    schema::Context,
};

pub(super) static RULE: Rule = Rule {
    code: "unanchored-regex",
    title: "An expression for an ending has no `$`",
    why: "An expression is searched for anywhere in the path. `\\.php` without `$` matches `/photo.php.jpg` and `/x.phpinfo/y`: what is \
          meant for scripts gets other files.",
    bad: "location ~ \\.jpg {\n    expires 30d;\n}",
    good: "location ~ \\.jpg$ {\n    expires 30d;\n}",
    allow: "Where what stands behind the ending is wanted, as the path behind a script.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::LOCATION) {
        let Some(name) = block.name().filter(|name| name.kind == LocationKind::Regex && is_ending(name.text)) else {
            continue;
        };
        let case: &[u8] = if name.caseless { b"~*" } else { b"~" };
        let Some(path) = view.once(&[RULE.code.as_bytes(), case, name.text], || longer(block)) else { continue };
        if block.answers(&path).is_none_or(|answers| answers.number() != block.number())
            || block.has("fastcgi_split_path_info")
        {
            continue;
        }
        let said = RULE
            .at(block.place(), format!("\"GET {path}\" matches, too"))
            .label("no `$` at its end")
            .help("put a `$` behind the ending");
        out.push(if name.word.quoted {
            said
        } else {
            said.fix(Fix::likely("put a `$` behind it").behind(name.word.span, "$"))
        });
    }
}

/// A path that goes on behind the ending, and matches.
fn longer(block: Block<'_>) -> Option<String> {
    let name = block.name()?;
    let anchored = [name.text, b"$"].concat();
    let strict = Machine::new(&Pattern::read(&anchored, name.caseless)?.root)?;
    path_of(&[&machine(block)?, &super::location_regex::ours(r"\.[a-z0-9]+\.[a-z]+$")], &[&strict])
}

/// `\.php`, `\.(jpg|png)`: it ends with a dot and letters.
fn is_ending(text: &[u8]) -> bool {
    let Some(dot) = text.windows(2).rposition(|pair| pair == b"\\.") else { return false };
    // `/\.ht` is about names that begin so, not about endings.
    if dot > 0 && text[dot - 1] == b'/' {
        return false;
    }
    let behind = &text[dot + 2..];
    let behind = behind
        .strip_prefix(b"(?:")
        .or(behind.strip_prefix(b"("))
        .map_or(behind, |rest| rest.strip_suffix(b")").unwrap_or(b"/"));
    !behind.is_empty() && behind.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'|' | b'?'))
}
