//! State that all threads share and that outlives a configuration: zones, found again by name.

use std::any::Any;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// What a zone is known by. One of another size is another zone, as in nginx.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// The zones that some cycle has.
static ZONES: Mutex<Vec<(ZoneKey, Weak<dyn Any + Send + Sync>)>> = Mutex::new(Vec::new());

/// The zone of a key as long as some cycle has it; else a new one.
pub fn shared_zone<T: Send + Sync + 'static>(key: ZoneKey, make: impl FnOnce() -> T) -> Arc<T> {
    let mut zones = ZONES.lock().unwrap_or_else(PoisonError::into_inner);
    zones.retain(|(_, zone)| zone.strong_count() > 0);
    let known = zones.iter().find(|(known, _)| *known == key).and_then(|(_, zone)| zone.upgrade()?.downcast().ok());
    if let Some(zone) = known {
        return zone;
    }
    let zone = Arc::new(make());
    let weak: Weak<T> = Arc::downgrade(&zone);
    zones.push((key, weak));
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
