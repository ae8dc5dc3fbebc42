//! `ssrf`: a backend of the client's choice.

use super::location_regex::read;
use crate::{
    conf::pattern::ByteSet,
    diag::Diagnostic,
    http::LocationKind,
    lint::{
        Block, Rule, View,
        text::{Target, variables},
    },
    syntax::Directive,
};

/// What clients choose, whole or in part.
const CHOSEN: [&str; 9] =
    ["host", "http_host", "uri", "document_uri", "request_uri", "args", "query_string", "request_filename", "is_args"];

pub(super) static RULE: Rule = Rule {
    code: "ssrf",
    title: "A client chooses which backend nginx asks",
    why: "If the host in `proxy_pass` comes from the request, anybody can have nginx ask machines that only nginx can reach: other \
          services, the metadata of a cloud, with its keys, at 169.254.169.254. The host belongs into the configuration; \
          or a `map` chooses among known ones.",
    bad: "server {\n    listen 80;\n    resolver 127.0.0.53;\n    location /fetch/ {\n        proxy_pass http://$arg_host/;\n    }\n}",
    good: "map $arg_host $backend {\n    news 127.0.0.1:8001;\n    default 127.0.0.1:8000;\n}\nserver {\n    listen 80;\n    location /fetch/ {\n        proxy_set_header Host $host;\n        \
           proxy_pass http://$backend/;\n    }\n}",
    allow: "For `internal` locations that only `X-Accel-Redirect` leads to, and for a forward proxy that is meant to be one.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, pass) in view.every("proxy_pass").chain(view.every("grpc_pass")) {
        let (Some(target), Some(word)) = (Target::of(pass), pass.args.first()) else { continue };
        if target.unix
            || !target.is_variable()
            || block.up().any(|around| around.has("internal"))
            || block.name().is_some_and(|name| name.kind == LocationKind::Named)
        {
            continue;
        }
        let in_host: Vec<_> = variables(word)
            .into_iter()
            .filter(|name| {
                target.authority.contains(&format!("${name}")) || target.authority.contains(&format!("${{{name}}}"))
            })
            .collect();
        let Some((name, from)) =
            in_host.into_iter().find_map(|name| Some((name.clone(), chosen(block, &name, &target, 3)?)))
        else {
            continue;
        };
        let example = example(block, &from);
        let said = RULE.at(word.span, format!("{example} has nginx ask whatever host the client names"));
        out.push(
            said.label(format!("`${name}` is the client's"))
                .help("choose among known hosts with a `map`, or make the location `internal`"),
        );
    }
}

fn example(block: Block<'_>, from: &str) -> String {
    let path = block.prefix().unwrap_or_else(|| "/".into());
    match from {
        "host" | "http_host" => format!("\"GET {path}\" with \"Host: 169.254.169.254\""),
        _ => match from.strip_prefix("arg_") {
            Some(arg) => format!("\"GET {path}?{arg}=169.254.169.254\""),
            None => format!("\"GET {path}…\""),
        },
    }
}

/// What of the request is in a variable, if a client can put a host of its choice there.
fn chosen(block: Block<'_>, name: &str, target: &Target, depth: usize) -> Option<String> {
    let families = ["arg_", "http_", "cookie_"];
    if CHOSEN.contains(&name) || families.iter().any(|family| name.starts_with(family)) {
        return (name != "http_upgrade" && !is_checked(block, name)).then(|| name.to_owned());
    }
    if let Some(group) = captured(block, name) {
        // Behind it stands a name that the client does not choose, unless it can put an end to the host.
        let ends_host = ByteSet::of(b"/?#@:");
        let is_last =
            target.authority.split(':').next().is_some_and(|host| host.ends_with(name) || host.ends_with('}'));
        return (group.has(b'.') && is_last || group.meets(ends_host)).then(|| name.to_owned());
    }
    if depth == 0 {
        return None;
    }
    let sets = block.up().flat_map(|around| around.all("set")).find(|set| is_of(set, name))?;
    let value = sets.args.get(1)?;
    if !value.value.starts_with(b"$") {
        return None;
    }
    variables(value).iter().find_map(|inner| {
        chosen(block, inner, &Target { authority: value.text().into_owned(), ..target.clone() }, depth - 1)
    })
}

fn is_of(set: &Directive, name: &str) -> bool {
    set.args.first().is_some_and(|word| word.text().trim_start_matches('$').eq_ignore_ascii_case(name))
}

/// A server with names of its own answers for no other host, unless it is the one for all the rest.
fn is_checked(block: Block<'_>, name: &str) -> bool {
    let Some(server) = block.server().filter(|_| name == "host") else { return false };
    let names: Vec<_> = server.all("server_name").iter().flat_map(|one| &one.args).collect();
    let is_default =
        server.all("listen").iter().any(|one| one.args.iter().any(|word| word.value.starts_with(b"default")));
    let is_open = |word: &&crate::syntax::Word| {
        matches!(&*word.value, b"_" | b"" | b"localhost") || word.value.starts_with(b"~") || word.value.contains(&b'*')
    };
    !names.is_empty() && !names.iter().any(is_open) && !is_default
}

/// The bytes that a group of the location's expression may hold.
fn captured(block: Block<'_>, name: &str) -> Option<ByteSet> {
    let location = block.location().and_then(Block::name).filter(|one| one.kind == LocationKind::Regex)?;
    let pattern = read(location.text, location.caseless)?;
    let number = match name.parse::<usize>() {
        Ok(number) => number.checked_sub(1)?,
        Err(_) => pattern.groups.iter().position(|group| group.eq_ignore_ascii_case(name))?,
    };
    Some(pattern.group(number)?.bytes())
}
