//! Where a name is defined: upstreams, zones, named locations, log formats, variables, included files.

use serde_json::{Value, json};

use super::{
    complete::{collect, zone},
    document::{Document, place},
};
use crate::{
    inspect::Inspection,
    load::Origin,
    syntax::{Directive, Word},
};

/// What a word refers to.
enum Name<'t> {
    /// The first argument of directives with this name.
    Named(&'static str, &'t str),
    /// A zone of one of these directives.
    Zone(&'static [&'static str], &'t str),
    /// A variable, with its `$`.
    Variable(String),
    /// An `include`.
    File,
}

pub(super) fn definition<'d>(document: &Document, all: impl Iterator<Item = &'d Document>, offset: usize) -> Value {
    let Some((word, start, end)) = document.word(offset) else { return Value::Null };
    let Some(statement) = document.statement(end) else { return Value::Null };
    let Some(directive) = statement.words.first().copied() else { return Value::Null };
    let Some(name) = name(directive, word, offset - start, statement.index) else { return Value::Null };
    if matches!(name, Name::File) {
        return included(document, start);
    }
    let mut found = places(&document.look, &name);
    for other in all.filter(|other| other.uri != document.uri) {
        if found.is_empty() {
            found = places(&other.look, &name);
        }
    }
    found.into()
}

fn name<'t>(directive: &str, word: &'t str, offset: usize, index: usize) -> Option<Name<'t>> {
    if let Some(variable) = variable(word, offset) {
        return Some(Name::Variable(variable));
    }
    if index == 0 {
        return None;
    }
    Some(match directive {
        "include" => Name::File,
        "proxy_pass" | "grpc_pass" => {
            let rest = word.split_once("://").map_or(word, |(_, rest)| rest);
            Name::Named("upstream", rest.split(['/', ':', '?']).next().unwrap_or(rest))
        }
        "fastcgi_pass" | "uwsgi_pass" | "scgi_pass" | "memcached_pass" => Name::Named("upstream", word),
        "access_log" => Name::Named("log_format", word),
        "limit_req" => Name::Zone(&["limit_req_zone"], word.strip_prefix("zone=")?),
        "limit_conn" => Name::Zone(&["limit_conn_zone"], word),
        "proxy_cache" | "fastcgi_cache" | "uwsgi_cache" | "scgi_cache" => {
            Name::Zone(&["proxy_cache_path", "fastcgi_cache_path", "uwsgi_cache_path", "scgi_cache_path"], word)
        }
        _ if word.starts_with('@') => Name::Named("location", word),
        _ => return None,
    })
}

fn variable(word: &str, offset: usize) -> Option<String> {
    let start = word.get(..(offset + 1).min(word.len()))?.rfind('$')?;
    let name = word[start + 1..].trim_start_matches('{');
    let name: String = name.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
    let behind = word[start..].find(&name)? + name.len() + start;
    (!name.is_empty() && offset <= behind).then(|| format!("${name}"))
}

fn places(look: &Inspection, name: &Name<'_>) -> Vec<Value> {
    let mut found = Vec::new();
    let root = &look.loaded.root;
    let mut add = |word: &Word| {
        found.extend(place(look, word.span).map(|(uri, range)| json!({ "uri": uri, "range": range })));
    };
    match name {
        Name::Named(directive, name) => collect(root, directive, &mut |one| {
            one.args.first().filter(|word| *word.value == *name.as_bytes()).into_iter().for_each(&mut add);
        }),
        Name::Zone(directives, name) => {
            for directive in *directives {
                collect(root, directive, &mut |one| {
                    if zone(one).as_deref() == Some(name) {
                        add(&one.name);
                    }
                });
            }
        }
        Name::Variable(name) => {
            let is_it = |word: &&Word| word.value.eq_ignore_ascii_case(name.as_bytes());
            for directive in ["set", "auth_request_set", "perl_set"] {
                collect(root, directive, &mut |one| one.args.first().filter(is_it).into_iter().for_each(&mut add));
            }
            for directive in ["map", "geo", "split_clients"] {
                collect(root, directive, &mut |one: &Directive| {
                    one.args.last().filter(is_it).into_iter().for_each(&mut add);
                });
            }
        }
        Name::File => {}
    }
    found
}

/// The beginnings of the files that the `include` at an offset has read.
fn included(document: &Document, offset: usize) -> Value {
    let sources = &document.look.loaded.sources;
    let is_here = |span: &crate::diag::Span| {
        let source = sources.get(span.file);
        let is_it = std::path::Path::new(&source.name) == document.path;
        let text = document.text.as_bytes().get(offset..span.end as usize).filter(|_| is_it);
        text.is_some_and(|text| !text[..text.len().saturating_sub(1)].contains(&b';'))
    };
    let read = sources.iter().filter(|source| {
        let at = source.included_at.filter(|span| span.end as usize > offset && source.origin == Origin::File);
        at.as_ref().is_some_and(is_here)
    });
    let start = json!({ "line": 0, "character": 0 });
    read.map(|source| json!({ "uri": crate::paths::uri(&source.name), "range": { "start": start, "end": start } }))
        .collect()
}
