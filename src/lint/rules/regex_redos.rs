//! `regex-redos`: an expression that takes for ever.

use super::location_regex::read;
use crate::{
    conf::pattern::{ByteSet, Node},
    diag::Diagnostic,
    lint::{Rule, View},
    schema::Context,
    syntax::Word,
};

pub(super) static RULE: Rule = Rule {
    code: "regex-redos",
    title: "A short text keeps an expression busy for ever",
    why: "A repeated group that holds a repetition of the same letters can divide a text in as many ways as there are subsets: thirty \
          letters are a thousand million ways. An engine that goes back and tries them all, as nginx's does, is busy with one request \
          until it gives up, and the worker with it.",
    bad: "location ~ ^/([a-z]+)+$ {\n    return 204;\n}",
    good: "location ~ ^/[a-z]+$ {\n    return 204;\n}",
    allow: "Where only rnginx serves it: its engine does not go back in such an expression.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (word, text, caseless) in patterns(view) {
        let Some(pump) = read(text, caseless).and_then(|pattern| pumped(&pattern.root)) else { continue };
        let letters: String = std::iter::repeat_n(char::from(pump), 30).collect();
        out.push(
            RULE.at(word.span, format!("a text such as \"{letters}!\" has nginx try a thousand million ways"))
                .label("a repetition inside a repetition")
                .help("repeat once: `[a-z]+` instead of `([a-z]+)+`"),
        );
    }
}

/// Every expression, with the word it stands in.
fn patterns<'v>(view: &'v View<'v>) -> Vec<(&'v Word, &'v [u8], bool)> {
    let mut found = Vec::new();
    for block in view.blocks(Context::LOCATION) {
        found.extend(
            block
                .name()
                .filter(|name| name.kind == crate::http::LocationKind::Regex)
                .map(|name| (name.word, name.text, name.caseless)),
        );
    }
    for (_, one) in view.every("rewrite") {
        found.extend(one.args.first().map(|word| (word, &*word.value, false)));
    }
    for (_, one) in view.every("server_name") {
        found.extend(one.args.iter().filter_map(|word| Some((word, word.value.strip_prefix(b"~")?, false))));
    }
    for block in view.blocks(Context::SERVER_IF | Context::LOCATION_IF) {
        if let [_, operator, word, ..] = block.args() {
            let is_regex = matches!(&*operator.value, b"~" | b"~*" | b"!~" | b"!~*");
            let text = word
                .value
                .strip_suffix(b")")
                .filter(|_| !word.quoted && block.args().len() == 3)
                .unwrap_or(&word.value);
            found.extend(is_regex.then_some((word, text, operator.value.ends_with(b"*"))));
        }
    }
    for map in view.blocks(Context::MAP) {
        found.extend(map.directives().iter().filter_map(|line| {
            let text = line.name.value.strip_prefix(b"~")?;
            Some((&line.name, text.strip_prefix(b"*").unwrap_or(text), text.starts_with(b"*")))
        }));
    }
    found
}

/// A letter that can be taken by the inner and by the outer repetition, where there are two without end.
fn pumped(root: &Node) -> Option<u8> {
    // With nothing behind it the first way is as good as any other, and no second one is tried.
    let nodes = match root {
        Node::Sequence(nodes) => match nodes.split_last() {
            Some((Node::Repeat(..) | Node::Group(..), before)) => before,
            _ => nodes,
        },
        Node::Repeat(..) | Node::Group(..) => &[],
        other => std::slice::from_ref(other),
    };
    nodes.iter().flat_map(Node::parts).find_map(|node| match node {
        Node::Repeat(inner, _, None) => divided(inner),
        _ => None,
    })
}

/// A letter such that a text of it can be divided among passes through `node` in many ways.
fn divided(node: &Node) -> Option<u8> {
    match node {
        Node::Group(_, inner) => divided(inner),
        Node::Choice(ways) => ways.iter().find_map(divided).or_else(|| twice(ways)),
        Node::Sequence(nodes) => {
            // All but one part may be empty, so that a pass may be of that part alone.
            nodes.iter().enumerate().find_map(|(at, part)| {
                let others = nodes.iter().enumerate().all(|(other, node)| other == at || node.is_optional());
                if others { divided(part) } else { None }
            })
        }
        Node::Repeat(inner, _, None) => letter(inner.first() & single(inner)?),
        Node::Repeat(inner, ..) => divided(inner),
        Node::Set(_) | Node::Start | Node::End => None,
    }
}

/// Two ways that take the same letter.
fn twice(ways: &[Node]) -> Option<u8> {
    let sets: Vec<ByteSet> = ways.iter().filter_map(single).collect();
    sets.iter().enumerate().find_map(|(at, one)| sets[at + 1..].iter().find_map(|other| letter(*one & *other)))
}

/// The set of a node that is one byte long.
fn single(node: &Node) -> Option<ByteSet> {
    match node {
        Node::Set(set) => Some(*set),
        Node::Group(_, inner) => single(inner),
        _ => None,
    }
}

fn letter(set: ByteSet) -> Option<u8> {
    (b'a'..=b'z').chain(b'0'..=b'9').chain(b'!'..=b'~').find(|byte| set.has(*byte))
}
