//! `fastcgi_split_path_info`, `fastcgi_index`: `$fastcgi_script_name` and `$fastcgi_path_info`.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::Bytes;

use super::Conf;
use crate::conf::{Args, Ctx, SetResult};
use crate::http::{Regex, Request, VariableDef};
use crate::log::Level;

/// How a location takes URIs apart.
pub(super) struct Split {
    regex: Option<Arc<Regex>>,
    index: Bytes,
}

impl Split {
    pub(super) fn new(conf: &Conf) -> Self {
        Self { regex: conf.split.clone(), index: conf.index.clone().unwrap_or_default() }
    }
}

pub(super) fn read_split(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let word = args.word(1);
    let regex = ctx.regex(word, &word.value, false)?;
    if regex.group_count() != 2 {
        let message = format!("pattern \"{}\" must have 2 captures", args.text(1));
        return Err(args.error(1, "fastcgi-split", message));
    }
    c.split = Some(Arc::new(regex));
    Ok(())
}

/// The URI of a request taken apart, until an internal redirect.
#[derive(Default)]
struct Parts(RefCell<Option<(Bytes, Bytes)>>);

/// The URI is taken apart anew, as it stands when the request is passed on.
pub(super) fn forget_parts(r: &Request) {
    if let Some(parts) = r.find_context::<Parts>() {
        parts.0.take();
    }
}

pub(super) const VARIABLES: &[VariableDef] = &[
    VariableDef::new("fastcgi_script_name", |r, out| {
        let Some((script, _)) = parts(r) else { return false };
        out.extend_from_slice(&script);
        if script.ends_with(b"/")
            && let Some(split) = r.location().extensions.get::<Split>()
        {
            out.extend_from_slice(&split.index);
        }
        true
    }),
    VariableDef::new("fastcgi_path_info", |r, out| {
        let Some((_, path_info)) = parts(r) else { return false };
        out.extend_from_slice(&path_info);
        true
    }),
];

/// Script name and path info; `None` where the search was given up.
fn parts(r: &Request) -> Option<(Bytes, Bytes)> {
    let kept = r.context::<Parts>();
    if let Some(parts) = &*kept.0.borrow() {
        return Some(parts.clone());
    }
    let uri = r.uri.borrow();
    let regex = r.location().extensions.get::<Split>().and_then(|split| split.regex.as_ref());
    let found = match regex.map(|regex| (regex, regex.captures(&uri))) {
        None => None,
        Some((_, Ok(found))) => found,
        Some((regex, Err(_))) => {
            r.log_with(Level::Alert, |line| {
                line.put("pcre2_match() failed: -47 on \"").bytes(&uri);
                line.put("\" using \"").bytes(regex.pattern()).put('"');
            });
            return None;
        }
    };
    let parts = match found {
        Some(captures) => (captures.group(1), captures.group(2)),
        None => (Bytes::copy_from_slice(&uri), Bytes::new()),
    };
    // nginx looks again where there was no script's name.
    if !parts.0.is_empty() {
        *kept.0.borrow_mut() = Some(parts.clone());
    }
    Some(parts)
}
