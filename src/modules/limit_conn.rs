//! `limit_conn`: how many requests of a key may run at once. <https://nginx.org/en/docs/http/ngx_http_limit_conn_module.html>

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::limit_zone::{self, KeyedState, Outcome, Refusal, Written, Zone, named_size};
use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult};
use crate::http::{Flow, Phase, PhaseHandler, Request, VariableDef};
use crate::schema::value;

/// `ngx_http_limit_conn_module`.
pub struct LimitConn;

/// The limits of one block, as written.
#[derive(Default)]
pub struct Conf {
    limits: Vec<(Bytes, u64)>,
    refusal: Written,
}

#[derive(Default)]
struct Zones(Vec<Arc<Zone<Counters>>>);

const OWNER: &str = "limit_conn_zone";

impl Module for LimitConn {
    type Conf = Conf;
    const NAME: &'static str = "http_limit_conn";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::custom("limit_conn_zone", define_zone),
        Command::custom("limit_conn", add_limit),
        Command::custom("limit_conn_log_level", |c, args, _| c.refusal.set_log_level(args)),
        Command::custom("limit_conn_status", |c, args, _| c.refusal.set_status(args)),
        Command::flag("limit_conn_dry_run", |c| &mut c.refusal.dry_run),
    ];
    const VARIABLES: &'static [VariableDef] = &[VariableDef::new("limit_conn_status", |r, out| {
        Outcome::put(r.find_lasting::<Held>().and_then(|held| held.outcome.get()), out)
    })];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.limits.inherit(&parent.limits);
        conf.refusal.inherit(&parent.refusal);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let zones = &location.ctx.collected::<Zones>().0;
        let limit = |(name, most): &(Bytes, u64)| {
            let zone = zones.iter().find(|zone| zone.name == *name)?;
            Some((zone.clone(), *most))
        };
        let limits: Box<[_]> = conf.limits.iter().filter_map(limit).collect();
        if !limits.is_empty() {
            location.on(Phase::Preaccess, Limiter { limits, refusal: conf.refusal.resolve() });
        }
    }
}

fn define_zone(_c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let mut zone = None;
    for index in 2..args.len() {
        let given = args.value(index).strip_prefix(b"zone=").ok_or_else(|| args.invalid_parameter(index))?;
        zone = Some(named_size(args, index, given)?);
    }
    let zone = limit_zone::define::<Counters>(args, ctx, zone, OWNER, |ctx, name| {
        let known = ctx.collected::<Zones>().0.iter().find(|known| known.name == name);
        known.map(|known| known.key_text.clone())
    })?;
    ctx.collected::<Zones>().0.push(Arc::new(zone));
    Ok(())
}

fn add_limit(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let zone = args.bytes(1);
    ctx.shared_zone(&zone, 0, OWNER, args.word(1).span).map_err(|fault| fault.at(args.word(1).span))?;
    if c.limits.iter().any(|(known, _)| *known == zone) {
        return Err(args.duplicate());
    }
    let most = value::number(args.value(2))
        .filter(|most| *most > 0)
        .ok_or_else(|| args.error(2, "invalid-value", format!("invalid number of connections \"{}\"", args.text(2))))?;
    if most > 65_535 {
        return Err(args.error(2, "invalid-value", "connection limit must be less 65536"));
    }
    c.limits.push((zone, most));
    Ok(())
}

/// How many requests of each key are running.
struct Counters {
    key: Box<[u8]>,
    counts: Mutex<Counts>,
}

struct Counts {
    running: HashMap<Box<[u8]>, u64>,
    /// Bytes left.
    room: usize,
}

impl KeyedState for Counters {
    fn new(key: &[u8], size: usize) -> Self {
        const PAGE: usize = 4096;
        let pages = size.saturating_sub(PAGE) / (PAGE + 24);
        Self { key: key.into(), counts: Mutex::new(Counts { running: HashMap::new(), room: pages * PAGE }) }
    }

    fn key(&self) -> &[u8] {
        &self.key
    }
}

/// What a key takes of a zone: nginx's node, rounded up as its slab allocator does.
fn cost(key: &[u8]) -> usize {
    (36 + key.len()).next_power_of_two()
}

/// Why a request may not run.
enum Lack {
    /// There are as many as may be.
    Busy,
    /// There is no memory for another key.
    Full,
}

impl Counters {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        // A panic cannot have left it in between.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self, key: &[u8], most: u64) -> Result<(), Lack> {
        let mut counts = self.counts();
        if let Some(count) = counts.running.get_mut(key) {
            if *count >= most {
                return Err(Lack::Busy);
            }
            *count += 1;
            return Ok(());
        }
        counts.room = counts.room.checked_sub(cost(key)).ok_or(Lack::Full)?;
        counts.running.insert(key.into(), 1);
        Ok(())
    }

    fn end(&self, key: &[u8]) {
        let mut counts = self.counts();
        if let Some(count) = counts.running.get_mut(key) {
            *count -= 1;
            if *count == 0 {
                counts.running.remove(key);
                counts.room += cost(key);
            }
        }
    }
}

/// What a request holds until it is gone.
#[derive(Default)]
struct Held {
    outcome: Cell<Option<Outcome>>,
    places: RefCell<Vec<(Arc<Zone<Counters>>, Bytes)>>,
}

impl Held {
    fn release(&self) {
        for (zone, key) in self.places.take() {
            zone.state.end(&key);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.release();
    }
}

/// All limits of a location.
struct Limiter {
    limits: Box<[(Arc<Zone<Counters>>, u64)]>,
    refusal: Refusal,
}

impl PhaseHandler for Limiter {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        let held = r.lasting::<Held>();
        if held.outcome.get().is_some() {
            return Flow::Declined;
        }
        for (zone, most) in &self.limits {
            let Some(key) = zone.key_of(r, usize::from(u8::MAX)) else { continue };
            held.outcome.set(Some(Outcome::Passed));
            match zone.state.begin(&key, *most) {
                Ok(()) => held.places.borrow_mut().push((zone.clone(), key)),
                Err(lack) => return self.reject(r, &held, zone, &lack),
            }
        }
        Flow::Declined
    }
}

impl Limiter {
    fn reject(&self, r: &Request, held: &Held, zone: &Zone<Counters>, lack: &Lack) -> Flow {
        if let Lack::Busy = lack {
            let dry = if self.refusal.dry_run { ", dry run," } else { "" };
            r.log_with(self.refusal.log_level, |line| {
                line.put(format_args!("limiting connections{dry} by zone \"")).bytes(&zone.name).put('"');
            });
        }
        held.release();
        self.refusal.reject(&held.outcome)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_runs() {
        let counters = Counters::new(b"$k", 64 << 10);
        assert!(counters.begin(b"a", 2).is_ok() && counters.begin(b"a", 2).is_ok());
        assert!(matches!(counters.begin(b"a", 2), Err(Lack::Busy)));
        assert!(counters.begin(b"b", 2).is_ok());
        counters.end(b"a");
        assert!(counters.begin(b"a", 2).is_ok());
        counters.end(b"b");
        assert_eq!(counters.counts().running.len(), 1);
    }

    #[test]
    fn a_full_zone_takes_no_more_keys() {
        let counters = Counters::new(b"$k", 8 << 12);
        let taken = (0..10_000_u32).take_while(|key| counters.begin(&key.to_be_bytes(), 1).is_ok()).count();
        assert_eq!(taken, 6 * 4096 / 64);
        counters.end(&0_u32.to_be_bytes());
        assert!(counters.begin(b"more", 1).is_ok());
    }
}
