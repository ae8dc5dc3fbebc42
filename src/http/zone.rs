//! State that all threads share and that outlives a configuration: zones, found again by name.

use std::any::Any;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

/// What a zone is known by. One of another size is another zone, as in nginx.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ZoneKey {
    /// The configuration's file: programs may hold several.
    pub configuration: PathBuf,
    /// The module that it belongs to.
    pub owner: &'static str,
    /// Its name.
    pub name: Vec<u8>,
    /// Its size in bytes.
    pub size: usize,
}

/// The zones that some cycle has, and others for a while.
static ZONES: LazyLock<Mutex<Zones>> = LazyLock::new(Mutex::default);

#[derive(Default)]
struct Zones {
    known: HashMap<ZoneKey, Weak<dyn Any + Send + Sync>>,
    /// With so many of them those that nobody has any more are taken out.
    sweep_at: usize,
}

/// The zone of a key as long as some cycle has it; else a new one.
pub fn shared_zone<T: Send + Sync + 'static>(key: ZoneKey, make: impl FnOnce() -> T) -> Arc<T> {
    let mut zones = ZONES.lock().unwrap_or_else(PoisonError::into_inner);
    let known = zones.known.get(&key).and_then(|zone| zone.upgrade()?.downcast().ok());
    if let Some(zone) = known {
        return zone;
    }
    if zones.known.len() >= zones.sweep_at {
        zones.known.retain(|_, zone| zone.strong_count() > 0);
        zones.sweep_at = 2 * zones.known.len() + 16;
    }
    let zone = Arc::new(make());
    let weak: Weak<T> = Arc::downgrade(&zone);
    zones.known.insert(key, weak);
    zone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_lives_as_long_as_somebody_has_it() {
        let key = |name: &str| ZoneKey { configuration: "t".into(), owner: "test", name: name.into(), size: 1 };
        let first = shared_zone(key("a"), || 1_u8);
        let again = shared_zone(key("a"), || 2_u8);
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(*shared_zone(key("b"), || 3_u8), 3);
        drop((first, again));
        assert_eq!(*shared_zone(key("a"), || 4_u8), 4);
    }
}
