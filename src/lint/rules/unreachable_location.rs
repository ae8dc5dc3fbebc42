//! `unreachable-location`: a location that no request ever reaches.

use super::location_regex::{NO_PATH, PATHS, beginning_with, machine};
use crate::{
    conf::pattern::{Answer, ByteSet, Machine, shortest},
    diag::Diagnostic,
    http::LocationKind,
    lint::{Block, Rule, View},
    schema::Context,
    syntax::Directive,
};

pub(super) static RULE: Rule = Rule {
    code: "unreachable-location",
    title: "No request ever reaches a location",
    why: "Regular expressions are tried in the order in which they are written, and the first that matches wins: one that matches only \
          what an earlier one matches already is never asked. A plain prefix is lost if an expression matches all that begins \
          with it. And a `return` in the server answers before any location is looked for: redirects to HTTPS and \
          `/.well-known/acme-challenge/` go wrong that way.\n\nThat it is never reached is proven, not guessed: the two are compared \
          as machines.",
    bad: "server {\n    listen 80;\n    location ~ \\.(?:jpg|png|gif)$ { expires 7d; }\n    location ~ \\.png$ { expires 30d; }\n}",
    good: "server {\n    listen 80;\n    location ~ \\.png$ { expires 30d; }\n    location ~ \\.(?:jpg|png|gif)$ { expires 7d; }\n}",
    allow: "While something is switched off for a time.",
    check,
};

/// So many pairs of one block are compared; a generated file may have thousands.
const MOST_PAIRS: usize = 400;

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for server in view.servers() {
        returned(server, out);
    }
    for around in view.blocks(Context::SERVER | Context::LOCATION) {
        compare(around, out);
    }
}

/// A `return` in the server comes before all locations.
fn returned(server: Block<'_>, out: &mut Vec<Diagnostic>) {
    let Some(done) = server.one("return") else { return };
    for location in server.locations() {
        let Some(path) = location.prefix().filter(|_| !location.has("internal")) else { continue };
        out.push(
            RULE.at(location.place(), format!("\"GET {path}\" is answered by the server's \"return\", not here"))
                .label("no request gets here")
                .related(done.span(), "this answers before a location is looked for")
                .help("put the `return` into `location / { }`"),
        );
    }
}

fn compare(around: Block<'_>, out: &mut Vec<Diagnostic>) {
    let locations: Vec<_> = around.locations().filter_map(|block| Some((block, block.name()?))).collect();
    let is_regex = |kind| kind == LocationKind::Regex;
    let count = locations.iter().filter(|(_, name)| is_regex(name.kind)).count();
    if count == 0 || count * locations.len() > MOST_PAIRS {
        return;
    }
    let mut regexes: Vec<Block<'_>> = Vec::new();
    for (block, _) in locations.iter().filter(|(_, name)| is_regex(name.kind)) {
        // Below a location only paths that it takes come here.
        if let Some(first) =
            regexes.iter().find(|wide| covers(**wide, *block)).filter(|wide| !does_the_same(**wide, *block))
        {
            out.push(lost(*block, *first));
        }
        regexes.push(*block);
    }
    for (block, _) in locations.iter().filter(|(_, name)| name.kind == LocationKind::Prefix && name.text != b"/") {
        // Locations inside it may still be asked.
        if block.locations().next().is_none()
            && let Some(first) =
                regexes.iter().find(|wide| covers(**wide, *block)).filter(|wide| !does_the_same(**wide, *block))
        {
            out.push(lost(*block, *first));
        }
    }
}

/// Whether it makes no difference which of two locations answers: `deny all` in both.
fn does_the_same(one: Block<'_>, other: Block<'_>) -> bool {
    let is_same = |one: &Directive, other: &Directive| {
        let words = |directive: &Directive| directive.args.iter().map(|word| word.value.clone()).collect::<Vec<_>>();
        one.name.value == other.name.value && words(one) == words(other) && one.block.is_none() && other.block.is_none()
    };
    let (one, other) = (one.directives(), other.directives());
    !one.is_empty() && one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_same(one, other))
}

/// Whether a location that is an expression takes all that another would.
fn covers(wide: Block<'_>, narrow: Block<'_>) -> bool {
    let (Some(one), Some(other)) = (wide.name(), narrow.name()) else { return false };
    let kind = |caseless| if caseless { &b"~*"[..] } else { b"~" };
    let is_regex = other.kind == LocationKind::Regex;
    let narrow_kind = if is_regex { kind(other.caseless) } else { b"" };
    let words = [RULE.code.as_bytes(), kind(one.caseless), one.text, narrow_kind, other.text];
    let ask = || {
        let narrow = if is_regex { machine(narrow) } else { beginning_with(other.text) };
        takes_all(&machine(wide)?, &narrow?).then(String::new)
    };
    wide.view().once(&words, ask).is_some()
}

fn takes_all(wide: &Machine, narrow: &Machine) -> bool {
    let bytes = !ByteSet::one(b'\n');
    // One text of the narrow one that the wide one does not match is enough to know, and quickly found.
    let Answer::Text(example) = shortest(&[narrow, &PATHS], &[&NO_PATH], bytes) else { return false };
    wide.matches(&example) && shortest(&[narrow, &PATHS], &[wide, &NO_PATH], bytes) == Answer::None
}

fn lost(block: Block<'_>, first: Block<'_>) -> Diagnostic {
    let name = String::from_utf8_lossy(first.name().map_or(&[][..], |name| name.text)).into_owned();
    let text = block.name().map_or(&[][..], |name| name.text);
    let example = match block.prefix() {
        Some(prefix) => Some(prefix.into_owned()),
        None => machine(block).and_then(|own| super::location_regex::path_of(&[&own], &[])),
    };
    let shown =
        example.filter(|path| first.answers(path).is_some_and(|by| by.up().any(|one| one.number() == first.number())));
    let message = match shown {
        Some(path) => format!(
            "\"GET {path}\" and every other request for \"{}\" is answered by \"{name}\"",
            String::from_utf8_lossy(text)
        ),
        None => format!("every request that \"{}\" matches is answered before it", String::from_utf8_lossy(text)),
    };
    RULE.at(block.place(), message)
        .label("no request gets here")
        .related(first.place(), "this takes all of them")
        .help("put the narrower one first, or take it out")
}
