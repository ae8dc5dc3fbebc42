//! `regex-shadows-prefix`: an expression takes requests that a prefix was meant for.

use super::location_regex::{beginning_with, machine, path_of};
use crate::{
    diag::{Diagnostic, Fix},
    http::LocationKind,
    lint::{Block, Rule, View},
    schema::Context,
};

pub(super) static RULE: Rule = Rule {
    code: "regex-shadows-prefix",
    title: "An expression takes requests away from a prefix",
    why: "nginx looks for the longest prefix first, and then still tries the regular expressions, however long the prefix was: the \
          first that matches wins. Only `^~` before the prefix ends the search there. So a `\\.php$` runs scripts in a folder of \
          uploads, and a `\\.(png|css)$` takes the pictures of an application that is proxied.",
    bad: "server {\n    listen 80;\n    root /srv/www;\n    location ~ \\.php$ {\n        try_files $uri =404;\n        fastcgi_pass 127.0.0.1:9000;\n    }\n    \
          location /uploads/ {\n        autoindex off;\n    }\n}",
    good: "server {\n    listen 80;\n    root /srv/www;\n    location ~ \\.php$ {\n        try_files $uri =404;\n        fastcgi_pass 127.0.0.1:9000;\n    }\n    \
           location ^~ /uploads/ {\n        autoindex off;\n    }\n}",
    allow: "Where the expression is meant to hold inside the prefix too.",
    check,
};

/// So many pairs of one block are compared; a generated file may have thousands.
const MOST_PAIRS: usize = 400;

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for around in view.blocks(Context::SERVER | Context::LOCATION) {
        let regexes: Vec<_> = around.locations().filter(|block| is_regex(*block) && !refuses(*block)).collect();
        let prefixes: Vec<_> = around.locations().filter(|block| is_plain(*block)).collect();
        if regexes.is_empty() || prefixes.is_empty() || regexes.len() * prefixes.len() > MOST_PAIRS {
            continue;
        }
        for regex in regexes {
            let pairs = prefixes.iter().filter(|prefix| is_loss(**prefix, regex));
            let taken: Vec<_> = pairs.filter_map(|prefix| Some((*prefix, taken(*prefix, regex)?))).collect();
            out.extend(said(regex, &taken));
        }
    }
}

fn said(regex: Block<'_>, taken: &[(Block<'_>, String)]) -> Option<Diagnostic> {
    let (prefix, path) = taken.first()?;
    let name = prefix.prefix()?;
    let message = format!("\"GET {path}\" is answered by this expression, not by location {name}");
    let mut fix = Fix::likely("end the search at the prefix");
    let mut said = RULE.at(regex.place(), message).label("tried after every plain prefix");
    for (prefix, _) in taken {
        said = said.related(prefix.place(), "a prefix without `^~`");
        if let Some(word) = prefix.name().filter(|_| prefix.args().len() == 1).map(|name| name.word) {
            fix = fix.before(word.span, "^~ ");
        }
    }
    Some(said.help(format!("write `location ^~ {name}`")).fix(fix))
}

fn is_regex(block: Block<'_>) -> bool {
    block.name().is_some_and(|name| name.kind == LocationKind::Regex)
}

fn is_plain(block: Block<'_>) -> bool {
    block.name().is_some_and(|name| {
        name.kind == LocationKind::Prefix && name.text != b"/" && !name.text.starts_with(b"/.well-known/")
    })
}

/// An expression that refuses what it matches is meant to hold everywhere.
fn refuses(block: Block<'_>) -> bool {
    block.has("deny") || block.has("return") || block.has("internal") || block.has("auth_basic")
}

/// Whether it does harm that the expression takes requests of the prefix.
fn is_loss(prefix: Block<'_>, regex: Block<'_>) -> bool {
    let name = prefix.prefix().unwrap_or_default().to_ascii_lowercase();
    let runs = regex.pass().is_some();
    let is_php = regex.name().is_some_and(|name| String::from_utf8_lossy(name.text).contains("php"));
    let uploads = ["upload", "media", "files", "cache", "tmp", "attachment"].iter().any(|part| name.contains(part));
    if runs && (is_php || regex.has("fastcgi_pass")) {
        return (uploads && prefix.pass().is_none() && !prefix.has("try_files"))
            || (prefix.has("alias") && !name.contains("php"));
    }
    prefix.has("alias") && !regex.has("alias") && !runs || prefix.pass().is_some() && !runs
}

/// A path below the prefix that the expression is asked for.
fn taken(prefix: Block<'_>, regex: Block<'_>) -> Option<String> {
    let (name, own) = (prefix.name()?, regex.name()?);
    let case: &[u8] = if own.caseless { b"~*" } else { b"~" };
    let path = prefix.view().once(&[RULE.code.as_bytes(), case, own.text, name.text], || {
        path_of(&[&machine(regex)?, &beginning_with(name.text)?], &[])
    })?;
    let answers = regex.answers(&path)?;
    answers.up().any(|block| block.number() == regex.number()).then_some(path)
}
