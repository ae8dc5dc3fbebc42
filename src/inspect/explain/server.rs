//! The server block that a host chose, and why.

use super::{Reason, Teller};
use crate::{
    http::Choice,
    inspect::words,
    syntax::{Directive, Word},
};

impl Teller<'_> {
    pub(super) fn server(&self, choice: &Choice, host: &[u8]) -> Reason {
        let base = self.cycle.server(choice.server).base;
        let place = self.look.places.get(base.0 as usize).copied().unwrap_or_default();
        let Some(nest) = self.nests.at(place) else {
            return Reason { what: "server".into(), place: String::new(), why: String::new() };
        };
        let named = |name: &'static str| nest.own().iter().filter(move |one| *one.name.value == *name.as_bytes());
        let names: Vec<_> = named("server_name").flat_map(|directive| &directive.args).collect();
        let shown = names.iter().map(|name| name.text().into_owned()).collect::<Vec<_>>().join(" ");
        let what = if shown.is_empty() { "server without a name".into() } else { format!("server {shown}") };
        let is_marked =
            |listen: &&Directive| listen.args.iter().any(|word| matches!(&*word.value, b"default_server" | b"default"));
        let why = match (best(&names, host), &choice.regex) {
            (_, Some(regex)) => format!("its name ~{} matches the host", String::from_utf8_lossy(regex.pattern())),
            (Some(name), None) => format!("its name {} is the host's", name.text()),
            (None, None) => match named("listen").find(is_marked) {
                Some(listen) => {
                    format!("no name matches the host, and it is the default: {}", words(self.look, listen))
                }
                None => "no name matches the host, and it is the first one on this address".into(),
            },
        };
        Reason { what, place: self.place(place), why }
    }
}

/// The name that a host matches, in nginx's order: itself, the longest `*.` or `.`, the longest `.*`.
fn best<'a>(names: &[&'a Word], host: &[u8]) -> Option<&'a Word> {
    let rank = |name: &&&Word| -> Option<(u8, usize)> {
        let value = name.value.to_ascii_lowercase();
        if value == host {
            return Some((3, value.len()));
        }
        if let Some(end) = value.strip_prefix(b"*").or(value.starts_with(b".").then_some(&value[..])) {
            let is_itself = value.starts_with(b".") && host == &value[1..];
            return (host.ends_with(end) || is_itself).then_some((2, value.len()));
        }
        let start = value.strip_suffix(b"*")?;
        host.starts_with(start).then_some((1, value.len()))
    };
    names.iter().filter_map(|name| Some((rank(&name)?, *name))).max_by_key(|(rank, _)| *rank).map(|(_, name)| name)
}
