//! `…_cache` and its kin: the directives that are the same for all protocols.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::settings::{NEXT_UPSTREAM, Settings};
use crate::cache::Caches;
use crate::conf::{Args, Ctx, Inherit, NodeId, NodeKind, SetResult};
use crate::diag::{Diagnostic, Span};
use crate::http::Script;
use crate::schema::value;
use crate::upstream::{CacheConf, NextOn, Zone};

/// Which cache a block names.
#[derive(Clone)]
enum Named {
    Off,
    Zone(Bytes, Span),
    Evaluated(Script),
}

/// The directives of one block; `None` is not set in it.
#[derive(Clone, Default)]
pub struct CacheSettings {
    zone: Option<Named>,
    pub key: Option<Script>,
    valid: Option<Vec<(u16, i64)>>,
    pub min_uses: Option<u64>,
    /// Whether `POST` is among the methods.
    post: Option<bool>,
    bypass: Option<Vec<Script>>,
    no_cache: Option<Vec<Script>>,
    pub lock: Option<bool>,
    pub lock_timeout: Option<Duration>,
    pub lock_age: Option<Duration>,
    use_stale: Option<NextOn>,
    pub background_update: Option<bool>,
    pub revalidate: Option<bool>,
    pub convert_head: Option<bool>,
    pub max_range_offset: Option<u64>,
}

/// Status codes that `…_cache_valid TIME` is about.
const USUAL: [u16; 3] = [200, 301, 302];

impl CacheSettings {
    /// Takes from the block around what this one does not set.
    pub fn inherit(&mut self, parent: &Self) {
        self.zone.inherit(&parent.zone);
        self.key.inherit(&parent.key);
        self.valid.inherit(&parent.valid);
        self.min_uses.inherit(&parent.min_uses);
        self.post.inherit(&parent.post);
        self.bypass.inherit(&parent.bypass);
        self.no_cache.inherit(&parent.no_cache);
        self.lock.inherit(&parent.lock);
        self.lock_timeout.inherit(&parent.lock_timeout);
        self.lock_age.inherit(&parent.lock_age);
        self.use_stale.inherit(&parent.use_stale);
        self.background_update.inherit(&parent.background_update);
        self.revalidate.inherit(&parent.revalidate);
        self.convert_head.inherit(&parent.convert_head);
        self.max_range_offset.inherit(&parent.max_range_offset);
    }

    /// Whether this block names a cache.
    pub fn is_on(&self) -> bool {
        matches!(self.zone, Some(Named::Zone(..) | Named::Evaluated(_)))
    }

    /// Nothing is kept here, whatever the block around says.
    pub fn turn_off(&mut self) {
        self.zone = Some(Named::Off);
    }

    /// Reads `…_cache`.
    ///
    /// # Errors
    /// nginx's sentences about a directive that was there already, and about a zone of another kind.
    pub fn read_zone(
        &mut self,
        args: &Args<'_>,
        ctx: &mut Ctx<'_>,
        (owner, stores): (&'static str, bool),
    ) -> SetResult {
        if self.zone.is_some() {
            return Err(args.duplicate());
        }
        let name = args.bytes(1);
        self.zone = Some(match &name[..] {
            b"off" => Named::Off,
            _ if stores => return Err(args.incompatible(&args.name().replace("_cache", "_store"))),
            text if text.contains(&b'$') => Named::Evaluated(ctx.script(args.word(1))?),
            _ => {
                ctx.expect_zone(&name, owner)?;
                Named::Zone(name, args.word(1).span)
            }
        });
        Ok(())
    }

    /// Reads `…_cache_valid`.
    ///
    /// # Errors
    /// nginx's sentences about a time or status that is none.
    pub fn read_valid(&mut self, args: &Args<'_>) -> SetResult {
        let last = args.len() - 1;
        let time = value::sec(args.value(last)).and_then(|time| i64::try_from(time.as_secs()).ok());
        let invalid =
            |index, what| args.error(index, "invalid-value", format!("invalid {what} \"{}\"", args.text(index)));
        let time = time.ok_or_else(|| invalid(last, "time value"))?;
        let list = self.valid.get_or_insert_default();
        if last == 1 {
            list.extend(USUAL.map(|status| (status, time)));
            return Ok(());
        }
        for index in 1..last {
            let status = match args.value(index) {
                b"any" => 0,
                text => {
                    let number = value::number(text).and_then(|number| u16::try_from(number).ok());
                    number.filter(|number| (100..=599).contains(number)).ok_or_else(|| invalid(index, "status"))?
                }
            };
            list.push((status, time));
        }
        Ok(())
    }

    /// Reads `…_cache_methods`.
    ///
    /// # Errors
    /// nginx's sentence about a word that is none of its words.
    pub fn read_methods(&mut self, args: &Args<'_>) -> SetResult {
        for index in 1..args.len() {
            let post = args.one_of(index, &[("GET", false), ("HEAD", false), ("POST", true)])?;
            *self.post.get_or_insert(false) |= post;
        }
        Ok(())
    }

    /// Reads `…_cache_use_stale`.
    ///
    /// # Errors
    /// nginx's sentence about a word that is none of its words.
    pub fn read_use_stale(&mut self, args: &Args<'_>) -> SetResult {
        let (mut on, mut never) = (self.use_stale.unwrap_or(NextOn::NEVER), false);
        for index in 1..args.len() {
            let word = args.one_of(index, NEXT_UPSTREAM)?;
            never |= word == NextOn::NEVER;
            on = on.with(word);
        }
        self.use_stale = Some(if never { NextOn::NEVER } else { on });
        Ok(())
    }

    /// Reads `…_cache_bypass`.
    ///
    /// # Errors
    /// About a variable that makes no sense.
    pub fn read_bypass(&mut self, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
        read_predicates(self.bypass.get_or_insert_default(), args, ctx)
    }

    /// Reads `…_no_cache`.
    ///
    /// # Errors
    /// About a variable that makes no sense.
    pub fn read_no_cache(&mut self, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
        read_predicates(self.no_cache.get_or_insert_default(), args, ctx)
    }

    /// All values with their defaults; `None` where nothing is cached, or the zone was complained about.
    pub fn resolve(&self, ctx: &Ctx<'_>, owner: &'static str) -> Option<Arc<CacheConf>> {
        let zone = match self.zone.as_ref()? {
            Named::Off => return None,
            Named::Zone(name, _) => Zone::Fixed(ctx.extensions.get::<Caches>()?.find(owner, name)?.clone()),
            Named::Evaluated(script) => Zone::Named(script.clone(), owner),
        };
        Some(Arc::new(CacheConf {
            zone,
            key: self.key.clone(),
            valid: self.valid.clone().unwrap_or_default(),
            post: self.post.unwrap_or(false),
            min_uses: self.min_uses.unwrap_or(1),
            bypass: self.bypass.clone().unwrap_or_default(),
            no_cache: self.no_cache.clone().unwrap_or_default(),
            lock: self.lock.unwrap_or(false),
            lock_timeout: self.lock_timeout.unwrap_or(Duration::from_secs(5)),
            lock_age: self.lock_age.unwrap_or(Duration::from_secs(5)),
            use_stale: self.use_stale.unwrap_or(NextOn::NEVER),
            background_update: self.background_update.unwrap_or(false),
            revalidate: self.revalidate.unwrap_or(false),
            // Only `proxy` has such a directive.
            convert_head: self.convert_head.unwrap_or(owner == "http_proxy"),
            max_range_offset: self.max_range_offset,
        }))
    }
}

fn read_predicates(list: &mut Vec<Script>, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    for word in args.words() {
        list.push(ctx.script(word)?);
    }
    Ok(())
}

/// Complains about caches that no `…_cache_path` of the module defines, and about those without a key; `prefix` is
/// `proxy` or one of its kin. nginx looks at blocks below `http`; a zone that is spoken of there alone has no size.
pub(super) fn check_caches<C: 'static>(ctx: &mut Ctx<'_>, prefix: &str, settings: fn(&C) -> &Settings) {
    let owner = format!("http_{prefix}");
    let nodes: Vec<NodeId> = ctx.nodes().collect();
    let mut unknown: Vec<(Bytes, Span, bool)> = Vec::new();
    let end = ctx.end_of_http();
    for node in nodes {
        let cache = &settings(ctx.conf_at::<C>(node)).cache;
        let below_http = !matches!(ctx.kind(node), NodeKind::Main | NodeKind::Http);
        let at = match &cache.zone {
            None | Some(Named::Off) => continue,
            Some(Named::Evaluated(_)) => end,
            Some(Named::Zone(name, at)) => {
                let known = ctx.extensions.get::<Caches>().is_some_and(|caches| caches.find(&owner, name).is_some());
                if !known {
                    match unknown.iter_mut().find(|(other, ..)| other == name) {
                        Some((.., is_met)) => *is_met |= below_http,
                        None => unknown.push((name.clone(), *at, below_http)),
                    }
                    // nginx is at its end.
                    continue;
                }
                *at
            }
        };
        let keyless = prefix != "proxy" && cache.key.is_none();
        if keyless && below_http {
            let message = format!("no \"{prefix}_cache_key\" for \"{prefix}_cache\"");
            ctx.complain(Diagnostic::warning("no-cache-key", message).at(at).nginx_at(end));
        }
    }
    for (name, at, is_met) in unknown {
        let name = String::from_utf8_lossy(&name);
        ctx.complain(if is_met {
            let message = format!("\"{prefix}_cache\" zone \"{name}\" is unknown");
            Diagnostic::error("unknown-zone", message).at(at).nginx_at(end)
        } else {
            let message = format!("zero size shared memory zone \"{name}\"");
            Diagnostic::error("zone", message).at(at).after_reading()
        });
    }
}
