//! `limit_req`: a leaky bucket for each key. <https://nginx.org/en/docs/http/ngx_http_limit_req_module.html>

mod bucket;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::limit_zone::{self, Outcome, Refusal, Written, Zone, named_size};
use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult};
use crate::diag::{Diagnostic, Span};
use crate::http::{Flow, Phase, PhaseHandler, Request, VariableDef};
use crate::log::Level;
use crate::schema::value;

use bucket::{Buckets, Found, Ticket};

/// `ngx_http_limit_req_module`.
pub struct LimitReq;

/// The limits of one block, as written.
#[derive(Default)]
pub struct Conf {
    limits: Vec<Named>,
    refusal: Written,
}

#[derive(Clone)]
struct Named {
    zone: Bytes,
    /// Thousandths of a request.
    burst: u64,
    /// Thousandths of a request.
    delay: u64,
}

/// All zones, with their rates in thousandths of a request a second.
#[derive(Default)]
struct Zones(Vec<(Arc<Zone<Buckets>>, u64)>);

const OWNER: &str = "limit_req";

/// nginx's `nodelay`: more than any excess.
const NO_DELAY: u64 = u64::MAX >> 2;

impl Module for LimitReq {
    type Conf = Conf;
    const NAME: &'static str = "http_limit_req";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("limit_req_zone", define_zone),
        Command::custom("limit_req", add_limit),
        Command::custom("limit_req_log_level", |c, args, _| c.refusal.set_log_level(args)),
        Command::custom("limit_req_status", |c, args, _| c.refusal.set_status(args)),
        Command::flag("limit_req_dry_run", |c| &mut c.refusal.dry_run),
    ];
    const VARIABLES: &'static [VariableDef] = &[VariableDef::new("limit_req_status", |r, out| {
        Outcome::put(r.find_lasting::<Cell<Option<Outcome>>>().and_then(|outcome| outcome.get()), out)
    })];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.limits.inherit(&parent.limits);
        conf.refusal.inherit(&parent.refusal);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let zones = &location.ctx.collected::<Zones>().0;
        let limit = |written: &Named| {
            let (zone, rate) = zones.iter().find(|(zone, _)| zone.name == written.zone)?;
            Some(Limit { zone: zone.clone(), rate: *rate, burst: written.burst, delay: written.delay })
        };
        let limits: Box<[Limit]> = conf.limits.iter().filter_map(limit).collect();
        if !limits.is_empty() {
            let refusal = conf.refusal.resolve();
            let delay_log_level = one_below(refusal.log_level);
            location.on(Phase::Preaccess, Limiter { limits, refusal, delay_log_level });
        }
    }
}

fn one_below(level: Level) -> Level {
    match level {
        Level::Error => Level::Warn,
        Level::Warn => Level::Notice,
        _ => Level::Info,
    }
}

fn define_zone(_c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let mut zone = None;
    let mut rate = 1000;
    for index in 2..args.len() {
        if let Some(given) = args.value(index).strip_prefix(b"zone=") {
            zone = Some(named_size(args, index, given)?);
        } else if let Some(given) = args.value(index).strip_prefix(b"rate=") {
            let invalid = || args.error(index, "invalid-value", format!("invalid rate \"{}\"", args.text(index)));
            rate = read_rate(given).ok_or_else(invalid)?;
        } else {
            return Err(args.invalid_parameter(index));
        }
    }
    let zone = limit_zone::define::<Buckets>(args, ctx, zone, OWNER, |ctx, name| {
        let known = ctx.collected::<Zones>().0.iter().find(|(known, _)| known.name == name);
        known.map(|(known, _)| known.key_text.clone())
    })?;
    ctx.collected::<Zones>().0.push((Arc::new(zone), rate));
    Ok(())
}

/// `10r/s`, `10r/m`, `10`: thousandths of a request a second.
fn read_rate(text: &[u8]) -> Option<u64> {
    let (digits, scale) = match text.strip_suffix(b"r/m") {
        Some(digits) => (digits, 60),
        None => (text.strip_suffix(b"r/s").unwrap_or(text), 1),
    };
    let rate = value::number(digits).filter(|rate| *rate > 0)?;
    Some(rate.checked_mul(1000)? / scale)
}

fn add_limit(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let mut zone: Option<(Bytes, Span)> = None;
    let (mut burst, mut delay) = (0, 0);
    for index in 1..args.len() {
        let thousandths = |what: &str, given: &[u8]| -> Result<u64, Diagnostic> {
            let number = value::number(given).filter(|number| *number > 0).and_then(|number| number.checked_mul(1000));
            let message = || format!("invalid {what} value \"{}\"", args.text(index));
            number.ok_or_else(|| args.error(index, "invalid-value", message()))
        };
        let text = args.value(index);
        if let Some(name) = text.strip_prefix(b"zone=") {
            ctx.shared_zone(name, 0, OWNER, args.word(index).span).map_err(|fault| fault.at(args.word(index).span))?;
            zone = Some((Bytes::copy_from_slice(name), args.word(index).span));
        } else if let Some(given) = text.strip_prefix(b"burst=") {
            burst = thousandths("burst", given)?;
        } else if let Some(given) = text.strip_prefix(b"delay=") {
            delay = thousandths("delay", given)?;
        } else if text == b"nodelay" {
            delay = NO_DELAY;
        } else {
            return Err(args.invalid_parameter(index));
        }
    }
    let Some((zone, _)) = zone else {
        let message = format!("\"{}\" must have \"zone\" parameter", args.name());
        return Err(args.error(0, "missing-parameter", message));
    };
    if c.limits.iter().any(|limit| limit.zone == zone) {
        return Err(args.duplicate());
    }
    c.limits.push(Named { zone, burst, delay });
    Ok(())
}

struct Limit {
    zone: Arc<Zone<Buckets>>,
    rate: u64,
    burst: u64,
    delay: u64,
}

impl Limit {
    /// How long an excess has to wait, in milliseconds.
    fn wait(&self, excess: u64) -> u64 {
        if excess <= self.delay { 0 } else { (excess - self.delay) * 1000 / self.rate.max(1) }
    }
}

/// All limits of a location.
struct Limiter {
    limits: Box<[Limit]>,
    refusal: Refusal,
    delay_log_level: Level,
}

impl PhaseHandler for Limiter {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        let outcome = r.lasting::<Cell<Option<Outcome>>>();
        if outcome.get().is_some() {
            return Flow::Declined;
        }
        let mut held: Vec<(&Limit, Ticket)> = Vec::new();
        let mut last = None;
        for (number, limit) in self.limits.iter().enumerate() {
            let Some(key) = limit.zone.key_of(r, usize::from(u16::MAX)) else { continue };
            let is_last = number + 1 == self.limits.len();
            match limit.zone.state.look_up(&key, limit.rate, limit.burst, is_last) {
                Found::Held(ticket) => held.push((limit, ticket)),
                Found::Accounted(excess) => last = Some((limit, excess)),
                Found::Full => return self.reject(&outcome, held),
                Found::Busy(excess) => {
                    self.tell(r, self.refusal.log_level, "limiting requests", excess, " by zone \"", limit);
                    return self.reject(&outcome, held);
                }
            }
        }
        if held.is_empty() && last.is_none() {
            return Flow::Declined;
        }
        self.pass(r, &outcome, held, last)
    }
}

impl Limiter {
    fn reject(&self, outcome: &Cell<Option<Outcome>>, held: Vec<(&Limit, Ticket)>) -> Flow {
        for (limit, ticket) in held {
            limit.zone.state.release(ticket);
        }
        self.refusal.reject(outcome)
    }

    /// Accounts for the request everywhere; the longest wait counts.
    fn pass(
        &self,
        r: &Request,
        outcome: &Cell<Option<Outcome>>,
        held: Vec<(&Limit, Ticket)>,
        last: Option<(&Limit, u64)>,
    ) -> Flow {
        let mut longest = last.map(|(limit, excess)| (limit.wait(excess), excess, limit));
        for (limit, ticket) in held.into_iter().rev() {
            let excess = limit.zone.state.account(ticket, limit.rate);
            let wait = limit.wait(excess);
            if wait > longest.map_or(0, |(wait, ..)| wait) {
                longest = Some((wait, excess, limit));
            }
        }
        let Some((wait, excess, limit)) = longest.filter(|(wait, ..)| *wait > 0) else {
            outcome.set(Some(Outcome::Passed));
            return Flow::Declined;
        };
        self.tell(r, self.delay_log_level, "delaying request", excess, ", by zone \"", limit);
        if self.refusal.dry_run {
            outcome.set(Some(Outcome::DelayedDryRun));
            return Flow::Declined;
        }
        outcome.set(Some(Outcome::Delayed));
        Flow::Delay(Duration::from_millis(wait))
    }

    fn tell(&self, r: &Request, level: Level, what: &str, excess: u64, by: &str, limit: &Limit) {
        let dry = if self.refusal.dry_run { ", dry run" } else { "" };
        r.log_with(level, |line| {
            line.put(format_args!("{what}{dry}, excess: {}.{:03}{by}", excess / 1000, excess % 1000));
            line.bytes(&limit.zone.name).put('"');
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_rates() {
        assert_eq!((read_rate(b"1r/s"), read_rate(b"30r/m"), read_rate(b"2")), (Some(1000), Some(500), Some(2000)));
        assert_eq!(
            (read_rate(b"0r/s"), read_rate(b"r/s"), read_rate(b"1r/h"), read_rate(b"-1r/s")),
            (None, None, None, None)
        );
    }
}
