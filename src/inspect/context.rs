//! In which block a file stands, by what it holds.

use crate::{
    check::is_foreign,
    diag::FileId,
    load::{Form, meant_name},
    schema::{Context, Opens, Presence, Schema},
    syntax::{Directive, parse},
};

/// The kinds of blocks that files are written for, those that come first are believed first.
const CANDIDATES: [Context; 14] = [
    Context::HTTP,
    Context::SERVER,
    Context::LOCATION,
    Context::UPSTREAM,
    Context::LOCATION_IF,
    Context::SERVER_IF,
    Context::LIMIT_EXCEPT,
    Context::EVENTS,
    Context::STREAM,
    Context::STREAM_SERVER,
    Context::STREAM_UPSTREAM,
    Context::MAIL,
    Context::MAIL_SERVER,
    Context::MAIN,
];

/// The block that a file of this name stands in; none for a whole configuration, or what cannot be told from one. A first
/// line `# rnginx: context server` says it.
pub fn infer(schema: &Schema, name: &str, text: &[u8]) -> Option<Context> {
    if let Some(said) = said(text) {
        return Some(said);
    }
    of(schema, name, &parse(FileId::default(), text).0)
}

/// Whether these are the directives of a whole configuration of this name: one of its sections is among them.
pub(super) fn is_whole(schema: &Schema, name: &str, tree: &[Directive]) -> bool {
    tree.iter().any(|directive| is_section(schema, directive)) && !Form::is_site_with_events(schema, name, tree)
}

/// The block that the directives of a file stand in.
pub(super) fn of(schema: &Schema, name: &str, tree: &[Directive]) -> Option<Context> {
    if Form::is_site_with_events(schema, name, tree) {
        return Some(Context::HTTP);
    }
    if is_whole(schema, name, tree) {
        return None;
    }
    if let Some(table) = table(schema, tree) {
        return Some(table);
    }
    let known: Vec<_> = tree.iter().filter(|directive| is_known(schema, directive)).collect();
    if known.is_empty() {
        // Nothing to tell it by: a file of includes, comments or of another module's directives.
        let is_text = |one: &Directive| !one.name.value.contains(&0);
        let is_site = tree.is_empty() || tree.iter().any(is_foreign) || !tree.iter().all(is_text);
        return is_site.then_some(Context::HTTP);
    }
    let fits = |directive: &&&Directive, context| may_stand(schema, directive, context);
    let all_in_main = known.iter().all(|directive| fits(&directive, Context::MAIN));
    let best = CANDIDATES.into_iter().max_by_key(|context| {
        let fitting = known.iter().filter(|directive| fits(directive, *context)).count();
        let place = CANDIDATES.iter().position(|other| other == context).unwrap_or_default();
        (fitting, CANDIDATES.len() - place)
    })?;
    if all_in_main { Some(Context::HTTP).filter(|_| best == Context::HTTP) } else { Some(best) }
}

/// `# rnginx: context NAME` among the first lines.
pub(super) fn said(text: &[u8]) -> Option<Context> {
    let comments = text.split(|&byte| byte == b'\n').take(5).filter_map(|line| std::str::from_utf8(line).ok());
    let words = comments.filter_map(|line| line.trim().strip_prefix('#')?.trim().strip_prefix("rnginx:"));
    words.filter_map(|words| Context::named(words.trim().strip_prefix("context")?.trim())).next()
}

/// `events`, `http`, `stream`, `mail`
fn is_section(schema: &Schema, directive: &Directive) -> bool {
    let spec = schema.find(&meant_name(directive), Context::MAIN);
    directive.block.is_some() && spec.is_some_and(|spec| matches!(spec.opens, Some(Opens::In(_))))
}

fn is_known(schema: &Schema, directive: &Directive) -> bool {
    &*directive.name.value != b"include" && schema.named(&meant_name(directive)).next().is_some()
}

/// Its name may stand there, with a block or without as it is written.
fn may_stand(schema: &Schema, directive: &Directive, context: Context) -> bool {
    let name = meant_name(directive);
    let mut rows = schema.named(&name);
    rows.any(|spec| {
        let has_shape = spec.presence != Presence::Here || spec.opens.is_some() == directive.block.is_some();
        has_shape && spec.contexts.intersects(context)
    })
}

/// Lines that are no directives: MIME types, or the pairs of a `map`.
fn table(schema: &Schema, tree: &[Directive]) -> Option<Context> {
    let lines = || tree.iter().filter(|line| &*line.name.value != b"include");
    if tree.is_empty() || lines().any(|line| line.block.is_some() || is_known(schema, line)) {
        return None;
    }
    let is_type = |line: &Directive| {
        let name = line.name.text();
        let mut parts = name.split('/');
        let is_word =
            |part: Option<&str>| part.is_some_and(|part| part.starts_with(|first: char| first.is_alphanumeric()));
        is_word(parts.next()) && is_word(parts.next()) && parts.next().is_none() && !line.args.is_empty()
    };
    let is_pair = |line: &Directive| line.args.len() == 1 && is_no_word(&line.name.value);
    if lines().next().is_some() && lines().all(is_type) {
        return Some(Context::TYPES);
    }
    (lines().next().is_some() && lines().all(is_pair)).then_some(Context::MAP)
}

/// What cannot be meant for the name of a directive.
fn is_no_word(name: &[u8]) -> bool {
    name == b"default" || !name.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inferred(text: &str) -> Option<Context> {
        infer(Schema::nginx(), "/etc/nginx/x.conf", text.as_bytes())
    }

    #[test]
    fn a_file_is_known_by_what_it_holds() {
        let cases = [
            ("events { } http { }", None),
            ("events { } server { listen 80; }", Some(Context::HTTP)),
            ("worker_processes 2;", None),
            ("include a;", None),
            ("upstream a { server b; } server { }", Some(Context::HTTP)),
            ("proxy_set_header Host $host;", Some(Context::HTTP)),
            ("location / { }", Some(Context::SERVER)),
            ("listen 80; root /a;", Some(Context::SERVER)),
            ("proxy_pass http://a;", Some(Context::LOCATION)),
            ("server 127.0.0.1:80; keepalive 4;", Some(Context::UPSTREAM)),
            ("text/html html; image/svg+xml svg svgz;", Some(Context::TYPES)),
            ("default 0; ~*bot 1;", Some(Context::MAP)),
            ("", Some(Context::HTTP)),
            ("<VirtualHost *:80>\nServerName a\n</VirtualHost>;", Some(Context::HTTP)),
            ("a.test { file_server }", Some(Context::HTTP)),
            ("# rnginx: context location\nroot /a;", Some(Context::LOCATION)),
            ("sever_name x; server { listen 80; }", Some(Context::HTTP)),
        ];
        for (text, context) in cases {
            assert_eq!(inferred(text), context, "{text}");
        }
    }
}
