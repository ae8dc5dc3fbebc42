//! What `limit_req` and `limit_conn` have in common: zones with a key, what is done with who is refused, and how that is told.

use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;

use crate::conf::{Args, Ctx, Inherit, SetResult, assign};
use crate::diag::Diagnostic;
use crate::http::{Flow, Request, Script, ZoneKey, shared_zone};
use crate::log::Level;
use crate::schema::value;

const LEVELS: &[(&str, Level)] =
    &[("info", Level::Info), ("notice", Level::Notice), ("warn", Level::Warn), ("error", Level::Error)];

/// `…_log_level`, `…_status` and `…_dry_run` of one block, as written.
#[derive(Default)]
pub(super) struct Written {
    log_level: Option<Level>,
    status: Option<u16>,
    pub(super) dry_run: Option<bool>,
}

impl Written {
    pub(super) fn set_log_level(&mut self, args: &Args<'_>) -> SetResult {
        assign(&mut self.log_level, args, || args.one_of(1, LEVELS))
    }

    pub(super) fn set_status(&mut self, args: &Args<'_>) -> SetResult {
        assign(&mut self.status, args, || Ok(u16::try_from(args.number(1)?).unwrap_or(u16::MAX)))
    }

    pub(super) fn inherit(&mut self, parent: &Self) {
        self.log_level.inherit(&parent.log_level);
        self.status.inherit(&parent.status);
        self.dry_run.inherit(&parent.dry_run);
    }

    pub(super) fn resolve(&self) -> Refusal {
        Refusal {
            log_level: self.log_level.unwrap_or(Level::Error),
            status: self.status.unwrap_or(503),
            dry_run: self.dry_run.unwrap_or(false),
        }
    }
}

/// What is done with a request that is one too many.
pub(super) struct Refusal {
    pub(super) log_level: Level,
    status: u16,
    pub(super) dry_run: bool,
}

impl Refusal {
    /// Notes that a request is refused, or would be.
    pub(super) fn reject(&self, outcome: &Cell<Option<Outcome>>) -> Flow {
        if self.dry_run {
            outcome.set(Some(Outcome::RejectedDryRun));
            return Flow::Declined;
        }
        outcome.set(Some(Outcome::Rejected));
        Flow::Finalize(self.status)
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Delayed,
    Rejected,
    DelayedDryRun,
    RejectedDryRun,
}

impl Outcome {
    /// The value of `$limit_req_status` and `$limit_conn_status`; false where there is none.
    pub(super) fn put(outcome: Option<Self>, out: &mut Vec<u8>) -> bool {
        let name: &[u8] = match outcome {
            None => return false,
            Some(Outcome::Passed) => b"PASSED",
            Some(Outcome::Delayed) => b"DELAYED",
            Some(Outcome::Rejected) => b"REJECTED",
            Some(Outcome::DelayedDryRun) => b"DELAYED_DRY_RUN",
            Some(Outcome::RejectedDryRun) => b"REJECTED_DRY_RUN",
        };
        out.extend_from_slice(name);
        true
    }
}

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
