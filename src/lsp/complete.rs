//! What may be written at a place: directives of the block, values of a directive, variables, names.

use serde_json::{Value, json};

use super::{
    document::{Document, Statement},
    hover,
};
use crate::{
    schema::{DirectiveSpec, Schema, ValueType},
    syntax::Directive,
};

/// Kinds of completions, as the protocol numbers them.
const KEYWORD: u8 = 14;
const VARIABLE: u8 = 6;
const VALUE: u8 = 12;
const MODULE: u8 = 9;

pub(super) fn complete(document: &Document, offset: usize) -> Value {
    let Some(statement) = document.statement(offset) else { return json!([]) };
    if let Some(at) = statement.typed.rfind('$') {
        return variables(document, offset - (statement.typed.len() - at), offset);
    }
    if statement.index == 0 {
        return directives(&statement);
    }
    values(document, &statement)
}

fn directives(statement: &Statement<'_>) -> Value {
    let within = Schema::nginx().within(statement.context).filter(|spec| !spec.obsolete);
    within
        .map(|spec| {
            let snippet =
                if spec.opens.is_some() { format!("{} ${{1}} {{\n\t$0\n}}", spec.name) } else { spec.name.into() };
            let format = if spec.opens.is_some() { 2 } else { 1 };
            json!({
                "label": spec.name,
                "kind": KEYWORD,
                "detail": format!("{}: {}", spec.module, spec.arity),
                "documentation": { "kind": "markdown", "value": hover::about(spec) },
                "insertText": snippet,
                "insertTextFormat": format,
            })
        })
        .collect()
}

fn variables(document: &Document, start: usize, end: usize) -> Value {
    let mut names: Vec<String> = Vec::new();
    let http = Schema::nginx().variables().iter().filter(|spec| !spec.later && !spec.module.starts_with("stream"));
    names.extend(http.map(|spec| format!("${}", spec.name)));
    defined(&document.look.loaded.root, &mut names);
    names.sort();
    names.dedup();
    let range = document.range(start, end);
    let item = |name: &String| json!({ "label": name, "kind": VARIABLE, "filterText": name, "textEdit": { "range": range, "newText": name } });
    names.iter().map(item).collect()
}

/// Variables that the configuration defines.
fn defined(directives: &[Directive], names: &mut Vec<String>) {
    for directive in directives {
        let word = match &*directive.name.value {
            b"set" | b"perl_set" | b"auth_request_set" => directive.args.first(),
            b"map" | b"split_clients" | b"geo" => directive.args.last(),
            _ => None,
        };
        names.extend(word.filter(|word| word.value.starts_with(b"$")).map(|word| word.text().into_owned()));
        defined(directive.children(), names);
    }
}

fn values(document: &Document, statement: &Statement<'_>) -> Value {
    let Some(name) = statement.words.first() else { return json!([]) };
    let Some(spec) = Schema::nginx().find(name.as_bytes(), statement.context) else { return json!([]) };
    let words = fixed(spec);
    let known = words.iter().map(|word| json!({ "label": word, "kind": VALUE }));
    let named = names(document, spec, statement.typed);
    let named = named.into_iter().map(|name| json!({ "label": name, "kind": MODULE }));
    known.chain(named).collect()
}

/// Words that a directive takes.
fn fixed(spec: &DirectiveSpec) -> Vec<&'static str> {
    match (spec.ty, spec.name) {
        (ValueType::Flag, _) => vec!["on", "off"],
        (ValueType::Enum(words) | ValueType::Bitmask(words), _) => words.to_vec(),
        (_, "listen") => {
            vec![
                "default_server",
                "ssl",
                "reuseport",
                "backlog=",
                "proxy_protocol",
                "ipv6only=on",
                "so_keepalive=on",
                "deferred",
            ]
        }
        (_, "access_log" | "error_page") => vec!["off"],
        (_, "error_log") => vec!["debug", "info", "notice", "warn", "error", "crit", "alert", "emerg", "stderr"],
        (_, "rewrite") => vec!["last", "break", "redirect", "permanent"],
        (_, "add_header" | "add_trailer") => vec!["always"],
        (_, "try_files") => vec!["$uri", "$uri/", "=404"],
        (_, "return") => vec!["200", "204", "301", "302", "307", "308", "400", "403", "404", "410", "444", "503"],
        _ => Vec::new(),
    }
}

/// Names that the configuration defines and the directive refers to.
fn names(document: &Document, spec: &DirectiveSpec, typed: &str) -> Vec<String> {
    let mut found = Vec::new();
    let (wanted, before) = match spec.name {
        "proxy_pass" => ("upstream", "http://"),
        "fastcgi_pass" | "uwsgi_pass" | "scgi_pass" | "memcached_pass" => ("upstream", ""),
        "grpc_pass" => ("upstream", "grpc://"),
        "try_files" | "error_page" if typed.starts_with('@') || typed.is_empty() => ("location", ""),
        "access_log" => ("log_format", ""),
        "limit_req" => ("limit_req_zone", "zone="),
        "limit_conn" => ("limit_conn_zone", ""),
        "proxy_cache" => ("proxy_cache_path", ""),
        _ => return found,
    };
    collect(&document.look.loaded.root, wanted, &mut |directive| {
        let name = match wanted {
            "limit_req_zone" | "limit_conn_zone" | "proxy_cache_path" => zone(directive),
            _ => directive.args.first().map(|word| word.text().into_owned()),
        };
        let is_one = |name: &String| wanted != "location" || name.starts_with('@');
        found.extend(name.filter(is_one).map(|name| format!("{before}{name}")));
    });
    found.sort();
    found.dedup();
    found
}

/// The name of the zone that a directive defines.
pub(super) fn zone(directive: &Directive) -> Option<String> {
    directive.args.iter().find_map(|word| {
        let text = word.text().into_owned();
        let value = text.strip_prefix("keys_zone=").or_else(|| text.strip_prefix("zone="))?;
        value.split(':').next().map(str::to_owned)
    })
}

/// Shows all directives of a name.
pub(super) fn collect<'a>(directives: &'a [Directive], name: &str, see: &mut dyn FnMut(&'a Directive)) {
    for directive in directives {
        if *directive.name.value == *name.as_bytes() {
            see(directive);
        }
        collect(directive.children(), name, see);
    }
}
