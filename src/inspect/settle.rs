//! What a check makes of what was said: names that stand elsewhere are assumed, what nobody looked at is a note, and what
//! only rnginx does not do is a warning.

use super::Options;
use crate::{
    check::REMOVED,
    diag::{Certainty, Diagnostic, Severity, Span, differ_by_one},
    load::{Form, Loaded, NOT_RUN},
    modules::runs,
    schema::{Opens, Schema},
    syntax::{Directive, Word},
};

/// Changes severities, drops what is assumed, and adds a note for each host that was not looked up.
pub(super) fn settle(loaded: &Loaded, options: &Options, form: Form, hosts: &[String], said: &mut Vec<Diagnostic>) {
    let unread = options.offline && said.iter().any(may_define_names);
    let is_part = form != Form::Full || unread;
    if unread {
        // It may stand in a file that was not read.
        said.retain(|one| !one.message.starts_with("no \"ssl_certificate"));
    }
    if !loaded.root.iter().any(|directive| directive.block.is_some()) {
        // What stands outside of all sections is a part too: the rest may be anywhere.
        said.retain(|one| one.code != "missing-section");
    }
    if options.offline && said.iter().any(may_define_names) {
        // The certificates may stand in the file that is not looked at.
        said.retain(|one| one.code != "no-certificate");
    }
    if !matches!(form, Form::Full | Form::Site) {
        // The server around it is made up.
        said.retain(|one| !matches!(one.code, "no-certificate" | "no-certificate-key"));
    }
    let mut defined = Vec::new();
    if said.iter().any(|one| one.code == "unknown-variable") {
        defined_elsewhere(&loaded.root, &mut defined);
    }
    said.retain(|one| !(one.code == "unknown-variable" && is_defined(one, &defined)));
    if is_part {
        let is_assumed = |one: &&mut Diagnostic| one.severity == Severity::Error && is_name(one) && !is_explained(one);
        said.iter_mut().filter(is_assumed).for_each(assume);
    }
    for one in said.iter_mut() {
        if one.code == NOT_RUN && !options.to_run {
            one.severity = Severity::Warning;
            one.help =
                one.help.take().map(|help| help.replace("take it out, or run this configuration with nginx; ", ""));
        }
        if one.code == REMOVED && !options.to_run {
            // The file may be for an nginx that is older than ours.
            one.severity = Severity::Warning;
            one.message = one.message.replace("unknown directive", "nginx no longer has the directive");
        }
        if options.offline
            && matches!(
                one.code,
                "missing-include"
                    | "cannot-open"
                    | "unknown-user"
                    | "certificate"
                    | "certificate-key"
                    | "stapling-file"
                    | "dhparam"
                    | "ticket-key"
            )
        {
            one.severity = Severity::Note;
            one.label = Some("not looked at".into());
            one.help = None;
        }
    }
    if !options.to_run && !options.offline && !rustix::process::geteuid().is_root() {
        said.iter_mut().for_each(leave_secrets);
    }
    if is_part && !options.offline {
        assume_upstreams(said);
    }
    for host in hosts {
        let note = Diagnostic::note("unresolved-host", format!("host \"{host}\" was not looked up"));
        said.push(match find_word(&loaded.root, host.as_bytes()) {
            Some(span) => note.at(span),
            None => note,
        });
    }
}

/// A file that was not read, unless it is known by its name for what it holds.
fn may_define_names(said: &Diagnostic) -> bool {
    let holds_no_names = ["mime.types\"", "_params\"", "fastcgi.conf\"", "fastcgi-php.conf\"", "proxy.conf\""];
    said.code == "missing-include" && !holds_no_names.iter().any(|name| said.message.contains(name))
}

/// Complaints about a name that a whole configuration may define in another file.
fn is_name(said: &Diagnostic) -> bool {
    let message = &said.message;
    match said.code {
        "unknown-variable" | "unknown-format" | "no-charset-map" => true,
        // A name without a port is that of an `upstream`.
        _ if message.starts_with("no port in upstream") || message.ends_with("\" is unknown") => true,
        "zone" => message.starts_with("zero size shared memory zone") || message.starts_with("unknown "),
        // A pass without a port names an upstream, or forgets the port: only who sees all files can tell.
        "upstream-port" => message.starts_with("no port in upstream") && !message.contains('.'),
        _ => false,
    }
}

/// Whether the name comes of another slip, whose repair is sure: nobody defines the format of `access_log = off;`.
fn is_explained(said: &Diagnostic) -> bool {
    said.code != "unknown-variable" && said.fix.as_ref().is_some_and(|fix| fix.certainty == Certainty::Sure)
}

/// What another file may define is taken to be defined there. A variable that is one letter off from one that nginx has is
/// most likely a slip.
fn assume(said: &mut Diagnostic) {
    let quoted = |text: &Option<String>, quote| text.as_ref()?.split(quote).nth(1).map(str::to_owned);
    let (name, near) = (quoted(&Some(said.message.clone()), '"'), quoted(&said.help, '`'));
    let is_slip = |name: &str, near: &str| differ_by_one(name, near.trim_start_matches('$'));
    if said.code == "unknown-variable" && name.zip(near).is_some_and(|(name, near)| is_slip(&name, &near)) {
        said.severity = Severity::Warning;
        return;
    }
    said.severity = Severity::Note;
    said.nginx_at = said.nginx_at.or(said.at);
    said.message = format!("taken to be defined in another file: {}", said.message);
    said.code = "assumed-name";
    said.help = None;
}

/// A key that is root's is no fault because somebody else asks.
fn leave_secrets(said: &mut Diagnostic) {
    let is_secret = matches!(said.code, "certificate" | "certificate-key" | "ticket-key" | "dhparam" | "stapling-file");
    if is_secret && said.message.contains("Permission denied") {
        said.severity = Severity::Note;
        said.label = Some("not looked at".into());
        said.help = Some("ask again as root, who reads it when the server starts".into());
    }
}

/// A host of one label that nobody knows is most likely an `upstream` of another file.
fn assume_upstreams(said: &mut [Diagnostic]) {
    for one in said.iter_mut().filter(|one| one.code == "host-not-found") {
        let host = one.message.split('"').nth(1).unwrap_or_default();
        if !host.contains(['.', ':']) {
            one.message = format!("upstream \"{host}\" is assumed to be defined elsewhere");
            one.severity = Severity::Note;
            one.code = "assumed-upstream";
        }
    }
}

/// Variables in the arguments of directives that are not run: they may define them.
fn defined_elsewhere(directives: &[Directive], found: &mut Vec<Box<[u8]>>) {
    for directive in directives {
        let rows = || Schema::nginx().named(&directive.name.value);
        if rows().any(|spec| matches!(spec.opens, Some(Opens::In(context)) if context.is_table())) {
            continue;
        }
        if !rows().any(runs) {
            let names = directive.args.iter().filter_map(|word| word.value.strip_prefix(b"$"));
            found.extend(names.map(|name| name.to_ascii_lowercase().into()));
        }
        defined_elsewhere(directive.children(), found);
    }
}

fn is_defined(said: &Diagnostic, defined: &[Box<[u8]>]) -> bool {
    said.message.split('"').nth(1).is_some_and(|name| defined.iter().any(|known| **known == *name.as_bytes()))
}

/// The first argument that holds a text.
fn find_word(directives: &[Directive], text: &[u8]) -> Option<Span> {
    let holds = |word: &&Word| memchr::memmem::find(&word.value, text).is_some();
    directives.iter().find_map(|directive| {
        let word = directive.args.iter().find(holds).map(|word| word.span);
        word.or_else(|| find_word(directive.children(), text))
    })
}
