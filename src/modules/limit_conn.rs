//! `limit_conn`: how many requests of a key may run at once. <https://nginx.org/en/docs/http/ngx_http_limit_conn_module.html>

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::limit_zone::{self, KeyedState, LEVELS, Zone, named_size};
use crate::conf::{Args, Command, Ctx, Inherit, LocationBuilder, Module, SetResult, assign};
use crate::http::{Flow, Phase, PhaseHandler, Request, VariableDef};
use crate::log::Level;
use crate::schema::value;

/// `ngx_http_limit_conn_module`.
pub struct LimitConn;

/// The limits of one block, as written.
#[derive(Default)]
pub struct Conf {
    limits: Vec<(Bytes, u64)>,
    log_level: Option<Level>,
    status: Option<u16>,
    dry_run: Option<bool>,
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
        Command::custom("limit_conn_log_level", |c, args, _| assign(&mut c.log_level, args, || args.one_of(1, LEVELS))),
        Command::custom("limit_conn_status", |c, args, _| {
            assign(&mut c.status, args, || Ok(u16::try_from(args.number(1)?).unwrap_or(u16::MAX)))
        }),
        Command::flag("limit_conn_dry_run", |c| &mut c.dry_run),
    ];
    const VARIABLES: &'static [VariableDef] = &[VariableDef::new("limit_conn_status", |r, out| {
        let outcome = r.find_lasting::<Held>().and_then(|held| held.outcome.get());
        outcome.is_some_and(|outcome| {
            out.extend_from_slice(outcome.as_bytes());
            true
        })
    })];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.limits.inherit(&parent.limits);
        conf.log_level.inherit(&parent.log_level);
        conf.status.inherit(&parent.status);
        conf.dry_run.inherit(&parent.dry_run);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        let zones = &location.ctx.collected::<Zones>().0;
        let limit = |(name, most): &(Bytes, u64)| {
            let zone = zones.iter().find(|zone| zone.name == *name)?;
            Some((zone.clone(), *most))
        };
        let limits: Box<[_]> = conf.limits.iter().filter_map(limit).collect();
        if !limits.is_empty() {
            location.on(
                Phase::Preaccess,
                Limiter {
                    limits,
                    log_level: conf.log_level.unwrap_or(Level::Error),
                    status: conf.status.unwrap_or(503),
                    dry_run: conf.dry_run.unwrap_or(false),
                },
            );
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
enum Refusal {
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

    fn begin(&self, key: &[u8], most: u64) -> Result<(), Refusal> {
        let mut counts = self.counts();
        if let Some(count) = counts.running.get_mut(key) {
            if *count >= most {
                return Err(Refusal::Busy);
            }
            *count += 1;
            return Ok(());
        }
        counts.room = counts.room.checked_sub(cost(key)).ok_or(Refusal::Full)?;
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
    outcome: Cell<Option<&'static str>>,
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
    log_level: Level,
    status: u16,
    dry_run: bool,
}

impl PhaseHandler for Limiter {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        let held = r.lasting::<Held>();
        if held.outcome.get().is_some() {
            return Flow::Declined;
        }
        for (zone, most) in &self.limits {
            let Some(key) = zone.key_of(r, usize::from(u8::MAX)) else { continue };
            held.outcome.set(Some("PASSED"));
            match zone.state.begin(&key, *most) {
                Ok(()) => held.places.borrow_mut().push((zone.clone(), key)),
                Err(refusal) => return self.reject(r, &held, zone, &refusal),
            }
        }
        Flow::Declined
    }
}

impl Limiter {
    fn reject(&self, r: &Request, held: &Held, zone: &Zone<Counters>, refusal: &Refusal) -> Flow {
        if let Refusal::Busy = refusal {
            let dry = if self.dry_run { ", dry run," } else { "" };
            r.log_with(self.log_level, |line| {
                line.put(format_args!("limiting connections{dry} by zone \"")).bytes(&zone.name).put('"');
            });
        }
        held.release();
        if self.dry_run {
            held.outcome.set(Some("REJECTED_DRY_RUN"));
            return Flow::Declined;
        }
        held.outcome.set(Some("REJECTED"));
        Flow::Finalize(self.status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_runs() {
        let counters = Counters::new(b"$k", 64 << 10);
        assert!(counters.begin(b"a", 2).is_ok() && counters.begin(b"a", 2).is_ok());
        assert!(matches!(counters.begin(b"a", 2), Err(Refusal::Busy)));
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
