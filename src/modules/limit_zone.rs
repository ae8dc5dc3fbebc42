//! What `limit_req_zone` and `limit_conn_zone` have in common: a key, and `zone=name:size`.

use std::sync::Arc;

use bytes::Bytes;

use crate::conf::{Args, Ctx};
use crate::diag::Diagnostic;
use crate::http::{Request, Script, ZoneKey, shared_zone};
use crate::log::Level;
use crate::schema::value;

/// The levels of `…_log_level`.
pub(super) const LEVELS: &[(&str, Level)] =
    &[("info", Level::Info), ("notice", Level::Notice), ("warn", Level::Warn), ("error", Level::Error)];

/// `zone=name:size`
pub(super) struct NamedSize {
    pub(super) name: Bytes,
    pub(super) size: usize,
}

/// A zone as configured, and its state.
pub(super) struct Zone<T> {
    pub(super) name: Bytes,
    pub(super) key: Script,
    /// The key as written, for messages.
    pub(super) key_text: Bytes,
    pub(super) state: Arc<T>,
}

/// What a zone's state remembers of the key that it was made with.
pub(super) trait KeyedState: Send + Sync + 'static {
    fn new(key: &[u8], size: usize) -> Self;
    fn key(&self) -> &[u8];
}

/// Reads `zone=name:size`; at least eight pages.
pub(super) fn named_size(args: &Args<'_>, index: usize, given: &[u8]) -> Result<NamedSize, Diagnostic> {
    let fault = |message: String| args.error(index, "invalid-zone", message);
    let invalid = || fault(format!("invalid zone size \"{}\"", args.text(index)));
    let colon = given.iter().position(|byte| *byte == b':').ok_or_else(invalid)?;
    let size = value::size(&given[colon + 1..]).and_then(|size| usize::try_from(size).ok()).ok_or_else(invalid)?;
    if size < 8 * rustix::param::page_size() {
        return Err(fault(format!("zone \"{}\" is too small", args.text(index))));
    }
    Ok(NamedSize { name: Bytes::copy_from_slice(&given[..colon]), size })
}

/// Defines a zone, or finds the one of the configuration before; `known` are those that this one has already.
pub(super) fn define<T: KeyedState>(
    args: &Args<'_>,
    ctx: &mut Ctx<'_>,
    zone: Option<NamedSize>,
    owner: &'static str,
    known: fn(&mut Ctx<'_>, &[u8]) -> Option<Bytes>,
) -> Result<Zone<T>, Diagnostic> {
    let key = ctx.script(args.word(1))?;
    let Some(NamedSize { name, size }) = zone.filter(|zone| !zone.name.is_empty()) else {
        let message = format!("\"{}\" must have \"zone\" parameter", args.name());
        return Err(args.error(0, "missing-parameter", message));
    };
    ctx.shared_zone(&name, size, owner, args.word(0).span)?;
    if let Some(key) = known(ctx, &name) {
        let text = String::from_utf8_lossy;
        let message = format!("{} \"{}\" is already bound to key \"{}\"", args.name(), text(&name), text(&key));
        return Err(args.error(0, "zone", message));
    }
    let key_text = args.bytes(1);
    let zone_key = ZoneKey { configuration: ctx.paths().conf.clone(), owner, name: name.to_vec(), size };
    let state: Arc<T> = shared_zone(zone_key, || T::new(&key_text, size));
    if state.key() != &key_text[..] {
        let text = String::from_utf8_lossy;
        let message = format!(
            "{owner} \"{}\" uses the \"{}\" key while previously it used the \"{}\" key",
            text(&name),
            text(&key_text),
            text(state.key())
        );
        ctx.complain(Diagnostic::error("zone", message).at(args.word(1).span).after_reading());
    }
    Ok(Zone { name, key, key_text, state })
}

impl<T> Zone<T> {
    /// The key of a request; `None` where it is not to be limited.
    pub(super) fn key_of(&self, r: &Request, longest: usize) -> Option<Bytes> {
        let key = self.key.eval(r);
        if key.len() > longest {
            r.log_with(Level::Error, |line| {
                line.put("the value of the \"").bytes(&self.key_text);
                line.put(format_args!("\" key is more than {longest} bytes: \"")).bytes(&key).put('"');
            });
            return None;
        }
        (!key.is_empty()).then_some(key)
    }
}
