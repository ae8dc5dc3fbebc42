//! The three forms of a main file, and what is supplied around those that are not a whole configuration.

use std::borrow::Cow;

use super::{
    Supply,
    include::Reader,
    sources::{Origin, Source},
};
use crate::{
    diag::{Diagnostic, FileId, Span},
    schema::{Context, Opens, Schema},
    syntax::{Block, Directive, parse},
};

/// What a main file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A whole configuration: `events`, `http`.
    Full,
    /// What stands in `http`: `server`, `upstream`, `map`, as in sites-available.
    Site,
    /// What stands in `server`: bare `location` blocks.
    Fragment,
    /// What stands in one block of this kind, to be checked and not to be run.
    Part(Context),
}

impl Form {
    /// Recognises the form of a file by its name and the directives outside of all blocks. Misplaced ones do not decide it:
    /// `events` above the servers of a site makes it no whole configuration, unless the file is called `nginx.conf`.
    pub fn of(schema: &Schema, name: &str, directives: &[Directive]) -> Self {
        let known: Vec<_> = directives.iter().filter(|directive| is_known(schema, directive)).collect();
        if Self::is_site_with_events(schema, name, directives) {
            return Self::Site;
        }
        let all = |context| known.iter().all(|directive| may_stand(schema, directive, context));
        let any = |context, outside| {
            known
                .iter()
                .any(|directive| may_stand(schema, directive, context) && !may_stand(schema, directive, outside))
        };
        if known.iter().any(|directive| is_section(schema, directive)) || all(Context::MAIN) {
            Self::Full
        } else if all(Context::HTTP) {
            Self::Site
        } else if all(Context::SERVER) {
            Self::Fragment
        } else if any(Context::HTTP, Context::SERVER | Context::MAIN) {
            Self::Site
        } else if any(Context::SERVER | Context::LOCATION, Context::HTTP | Context::MAIN) {
            Self::Fragment
        } else {
            Self::Full
        }
    }

    /// Whether a file is a site that somebody has put `events` into.
    pub(crate) fn is_site_with_events(schema: &Schema, name: &str, directives: &[Directive]) -> bool {
        let mut sections = directives.iter().filter(|directive| is_section(schema, directive)).peekable();
        let is_of_http = |directive: &&Directive| {
            directive.block.is_some()
                && may_stand(schema, directive, Context::HTTP)
                && !may_stand(schema, directive, Context::MAIN)
        };
        sections.peek().is_some()
            && sections.all(|section| &*section.name.value == b"events")
            && name.rsplit('/').next() != Some("nginx.conf")
            && directives.iter().any(|directive| is_of_http(&directive))
    }
}

/// The name of a directive without the slips that tell nothing about where it stands: a byte-order mark, capitals, a colon.
pub(crate) fn meant_name(directive: &Directive) -> Cow<'_, [u8]> {
    let name = &*directive.name.value;
    let name = name.strip_prefix(b"\xef\xbb\xbf").unwrap_or(name);
    let name = name.strip_suffix(b":").unwrap_or(name);
    if name.iter().any(u8::is_ascii_uppercase) { name.to_ascii_lowercase().into() } else { name.into() }
}

fn is_known(schema: &Schema, directive: &Directive) -> bool {
    &*directive.name.value != b"include" && schema.named(&meant_name(directive)).next().is_some()
}

fn may_stand(schema: &Schema, directive: &Directive, context: Context) -> bool {
    schema.named(&meant_name(directive)).any(|spec| spec.contexts.intersects(context))
}

/// `events`, `http`, `stream`, `mail`
fn is_section(schema: &Schema, directive: &Directive) -> bool {
    schema.find(&meant_name(directive), Context::MAIN).is_some_and(|spec| matches!(spec.opens, Some(Opens::In(_))))
}

/// Puts the blocks that are missing around a main file. `main` is that file, `outer` what `-g` said.
pub(super) fn complete(
    reader: &mut Reader<'_>,
    form: Form,
    main: FileId,
    directives: Vec<Directive>,
    outer: &[Directive],
    supply: &Supply,
) -> Vec<Directive> {
    if form == Form::Full {
        return directives;
    }
    let text = supplied_text(form, &directives, outer, supply);
    let file = reader.sources.add(Source::new("supplied by rnginx", text.as_bytes(), Origin::Supplied));
    let (mut tree, _) = parse(file, text.as_bytes());
    let name = reader.sources.get(main).name.clone();
    reader.faults.push(notice(form, &name));
    let depth = openers(form).len();
    if let Some(block) = innermost(&mut tree, depth) {
        // At the space before the `}`: what is said of that comes behind what is said of the file.
        let start = block.close.start.saturating_sub(1);
        reader.sources.get_mut(main).included_at = Some(Span { start, end: block.close.start, ..block.close });
        block.directives.extend(directives);
    } else {
        tree.extend(directives);
    }
    tree
}

/// The block so many blocks deep, each the last one of the block around it.
fn innermost(tree: &mut [Directive], depth: usize) -> Option<&mut Block> {
    let block = tree.last_mut()?.block.as_mut()?;
    match depth {
        0 => None,
        1 => Some(block),
        _ => innermost(&mut block.directives, depth - 1),
    }
}

/// The blocks around what a file holds, the outermost first.
fn openers(form: Form) -> &'static [&'static str] {
    match form {
        Form::Full => &[],
        Form::Site => &["http"],
        Form::Fragment => &["http", "server"],
        Form::Part(context) => openers_of(context),
    }
}

/// Names in them are such as no configuration defines.
fn openers_of(context: Context) -> &'static [&'static str] {
    const OPENERS: [(Context, &[&str]); 19] = [
        (Context::EVENTS, &["events"]),
        (Context::HTTP, &["http"]),
        (Context::SERVER, &["http", "server"]),
        (Context::SERVER_IF, &["http", "server", "if ($host)"]),
        (Context::LOCATION, &["http", "server", "location /"]),
        (Context::LOCATION_IF, &["http", "server", "location /", "if ($host)"]),
        (Context::LIMIT_EXCEPT, &["http", "server", "location /", "limit_except GET"]),
        (Context::UPSTREAM, &["http", "upstream supplied"]),
        (Context::STREAM, &["stream"]),
        (Context::STREAM_SERVER, &["stream", "server"]),
        (Context::STREAM_UPSTREAM, &["stream", "upstream supplied"]),
        (Context::MAIL, &["mail"]),
        (Context::MAIL_SERVER, &["mail", "server"]),
        (Context::TYPES, &["http", "types"]),
        (Context::MAP, &["http", "map $host $supplied"]),
        (Context::GEO, &["http", "geo $supplied"]),
        (Context::SPLIT_CLIENTS, &["http", "split_clients $host $supplied"]),
        (Context::CHARSET_MAP, &["http", "charset_map koi8-r utf-8"]),
        (Context::STREAM_GEO, &["stream", "geo $supplied"]),
    ];
    OPENERS.iter().find(|(known, _)| *known == context).map_or(&[], |(_, openers)| openers)
}

fn supplied_text(form: Form, directives: &[Directive], outer: &[Directive], supply: &Supply) -> String {
    let said = |name: &str, whom: &[Directive]| whom.iter().any(|one| *one.name.value == *name.as_bytes());
    let mut text = String::new();
    for (name, value) in [("pid", &supply.pid), ("error_log", &supply.error_log)] {
        if let Some(value) = value.as_ref().filter(|_| !said(name, outer)) {
            text += &format!("{name} {value};\n");
        }
    }
    let openers = openers(form);
    if openers != ["events"] {
        text += "events { }\n";
    }
    for (depth, opener) in openers.iter().enumerate() {
        text += &format!("{opener} {{\n");
        if depth == 0 && *opener == "http" {
            text += &supplied_http(openers, directives, supply);
        }
    }
    text + &" }".repeat(openers.len())
}

/// What stands in a supplied `http` of its own, unless the file says it there.
fn supplied_http(openers: &[&str], directives: &[Directive], supply: &Supply) -> String {
    let said = |name: &str| openers.len() == 1 && directives.iter().any(|one| *one.name.value == *name.as_bytes());
    let access_log = supply.access_log.as_ref().map(|value| ("access_log", value.clone()));
    let default_type = Some(("default_type", "application/octet-stream".into()));
    let mut text = String::new();
    for (name, value) in [access_log, default_type].into_iter().flatten() {
        if !said(name) {
            text += &format!("{name} {value};\n");
        }
    }
    if !said("types") && openers.get(1) != Some(&"types") {
        text += include_str!("mime.types");
    }
    text
}

fn notice(form: Form, name: &str) -> Diagnostic {
    let (what, blocks) = match form {
        Form::Part(context) => {
            return Diagnostic::note("supplied", format!("{name} is checked as what stands in {context}"));
        }
        Form::Fragment => ("locations", "`events`, `http` with the standard MIME types, and `server`"),
        _ => ("sites", "`events`, and `http` with the standard MIME types"),
    };
    Diagnostic::note("supplied", format!("{name} holds {what} only: {blocks} were supplied"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Form {
        let (tree, _) = parse(FileId(0), text.as_bytes());
        Form::of(Schema::nginx(), "/etc/nginx/x.conf", &tree)
    }

    #[test]
    fn sections_make_a_whole_configuration() {
        assert_eq!(form("worker_processes 2; events { } http { server { } }"), Form::Full);
        assert_eq!(form("http { } server { }"), Form::Full);
        assert_eq!((form(""), form("user a; pid b;"), form("load_module x;")), (Form::Full, Form::Full, Form::Full));
    }

    #[test]
    fn what_stands_in_http_makes_a_site() {
        assert_eq!(form("upstream a { } server { listen 80; }"), Form::Site);
        assert_eq!((form("map $a $b { }"), form("gzip on;")), (Form::Site, Form::Site));
        assert_eq!(form("worker_processes 4; server { }"), Form::Site);
        assert_eq!(form("server { } location / { }"), Form::Site);
        assert_eq!(form("sever_name x; server { }"), Form::Site);
        assert_eq!((form("Server { }"), form("\u{feff}server { }")), (Form::Site, Form::Site));
    }

    #[test]
    fn events_do_not_make_a_site_whole() {
        let text = b"events { } server { listen 80; }";
        let (tree, _) = parse(FileId(0), text);
        let of = |name| Form::of(Schema::nginx(), name, &tree);
        assert_eq!((of("/etc/nginx/sites-available/a"), of("/etc/nginx/nginx.conf")), (Form::Site, Form::Full));
        assert_eq!(form("events { } stream { } server { }"), Form::Full);
    }

    #[test]
    fn bare_locations_make_a_fragment() {
        assert_eq!(form("location /static/ { alias /a/; } location / { }"), Form::Fragment);
        assert_eq!(
            (form("proxy_pass http://a;"), form("add_header a b; location / { }")),
            (Form::Fragment, Form::Fragment)
        );
        assert_eq!(form("listen 80; root /a;"), Form::Fragment);
    }

    #[test]
    fn the_mime_types_are_a_block_of_the_language() {
        let (tree, faults) = parse(FileId(0), include_bytes!("mime.types"));
        assert_eq!((tree.len(), faults), (1, vec![]));
        let html = tree[0].children().iter().find(|one| &*one.name.value == b"text/html").expect("a type");
        assert_eq!(html.args[0].text(), "html");
    }
}
