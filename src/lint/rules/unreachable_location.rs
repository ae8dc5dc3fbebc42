//! `unreachable-location`: a location that no request ever reaches.

use super::location_regex::{beginning_with, machine, no_path, paths};
use crate::{
    conf::pattern::{Answer, ByteSet, Machine, shortest},
    diag::Diagnostic,
    http::LocationKind,
    lint::{Block, Rule, View},
    schema::Context,
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
    let mut regexes: Vec<(Block<'_>, Option<Machine>)> = Vec::new();
    for (block, _) in locations.iter().filter(|(_, name)| is_regex(name.kind)) {
        let own = machine(*block);
        // Below a location only paths that it takes come here.
        let earlier = own.as_ref().and_then(|own| regexes.iter().find(|(_, machine)| covers(machine.as_ref(), own)));
        if let Some((first, _)) = earlier {
            out.push(lost(*block, *first));
        }
        regexes.push((*block, own));
    }
    for (block, name) in locations.iter().filter(|(_, name)| name.kind == LocationKind::Prefix && name.text != b"/") {
        let Some(own) = beginning_with(name.text) else { continue };
        let taken = regexes.iter().find(|(_, machine)| covers(machine.as_ref(), &own));
        // Locations inside it may still be asked.
        if let Some((first, _)) = taken.filter(|_| block.locations().next().is_none()) {
            out.push(lost(*block, *first));
        }
    }
}

fn covers(wide: Option<&Machine>, narrow: &Machine) -> bool {
    let Some(wide) = wide else { return false };
    let bytes = !ByteSet::one(b'\n');
    // One text of the narrow one that the wide one does not match is enough to know, and quickly found.
    let Answer::Text(example) = shortest(&[narrow, &paths()], &[&no_path()], bytes) else { return false };
    if !wide.matches(&example) {
        return false;
    }
    shortest(&[narrow, &paths()], &[wide, &no_path()], bytes) == Answer::None
        && shortest(&[narrow, &paths()], &[&no_path()], bytes) != Answer::None
}

fn lost(block: Block<'_>, first: Block<'_>) -> Diagnostic {
    let name = String::from_utf8_lossy(first.name().map_or(&[][..], |name| name.text)).into_owned();
    let text = block.name().map_or(&[][..], |name| name.text);
    let example = match block.prefix() {
        Some(prefix) => Some(prefix),
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
