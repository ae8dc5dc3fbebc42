//! `server_name`: exact names, wildcards and regular expressions.

use std::sync::Arc;

use bytes::Bytes;

use super::Conf;
use crate::conf::{Args, Ctx, NodeId, NodeKind, SetResult};
use crate::diag::{Diagnostic, Span};
use crate::http::Regex;

/// One name of a server.
pub(super) struct ServerName {
    /// As written, in lower case.
    pub(super) name: Bytes,
    /// `~pattern`
    pub(super) regex: Option<Arc<Regex>>,
    pub(super) at: Span,
}

pub(super) fn add(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    for (index, word) in args.words().iter().enumerate() {
        let fault = |what: String| Err(args.error(index + 1, "invalid-name", what));
        if matches!(&word.value[..], [b'*'] | [b'*', _] | [b'.'])
            || matches!(&word.value[..], [b'*', second, ..] if *second != b'.')
        {
            return fault(format!("server name \"{}\" is invalid", word.text()));
        }
        if word.value.contains(&b'/') {
            let message = format!("server name \"{}\" has suspicious symbols", word.text());
            ctx.complain_in(args.directive(), Diagnostic::warning("suspicious-name", message).at(word.span));
        }
        if word.value[..] == *b"~" {
            return fault(format!("empty regex in server name \"{}\"", word.text()));
        }
        let (name, regex) = match word.value.strip_prefix(b"~") {
            Some(pattern) => {
                let caseless = pattern.iter().any(u8::is_ascii_uppercase);
                (word.value.to_vec(), Some(Arc::new(ctx.regex(word, pattern, caseless)?)))
            }
            None if word.value.eq_ignore_ascii_case(b"$hostname") => (hostname(), None),
            None => (word.value.to_ascii_lowercase(), None),
        };
        c.names.push(ServerName { name: name.into(), regex, at: word.span });
    }
    Ok(())
}

fn hostname() -> Vec<u8> {
    rustix::system::uname().nodename().to_bytes().to_ascii_lowercase()
}

impl ServerName {
    /// The name of a server that has none, which requests without a host have too.
    pub(super) fn none(at: Span) -> Self {
        Self { name: Bytes::new(), regex: None, at }
    }
}

/// Whether the last regular expression among the names captures something: then nginx tries it even where there is
/// no other server to choose.
pub(super) fn captures(names: &[ServerName]) -> bool {
    let last = names.iter().rev().find_map(|name| name.regex.as_ref());
    last.is_some_and(|regex| regex.group_count() > 0)
}

/// The names of the server around a block; the pattern of those that are regular expressions.
pub fn server_names(ctx: &Ctx<'_>, node: NodeId) -> Vec<(Bytes, Option<Arc<Regex>>)> {
    let mut at = Some(node);
    while let Some(node) = at.filter(|node| !matches!(ctx.kind(*node), NodeKind::Server)) {
        at = ctx.parent(node);
    }
    let names = at.map(|node| &ctx.conf_at::<Conf>(node).names[..]).unwrap_or_default();
    if names.is_empty() {
        return vec![(Bytes::new(), None)];
    }
    names.iter().map(|name| (name.name.clone(), name.regex.clone())).collect()
}
