//! Sessions that clients may take up again, kept here: `ssl_session_cache`.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustls::server::StoresServerSessions;

/// Sessions by number, of one zone.
#[derive(Debug)]
pub struct Sessions {
    most: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    kept: HashMap<Vec<u8>, (Instant, Vec<u8>)>,
    /// In the order in which they came; those taken since are still there.
    order: VecDeque<(Instant, Vec<u8>)>,
}

/// What a session takes, in bytes: nginx's documentation says that a megabyte holds about 4000.
const EACH: usize = 256;

impl Sessions {
    /// Room for so many.
    pub fn new(most: usize) -> Self {
        Self { most: most.max(1), inner: Mutex::default() }
    }

    /// Room for as many as nginx puts into so many bytes.
    pub fn of_size(bytes: usize) -> Self {
        Self::new(bytes / EACH)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, key: Vec<u8>, value: Vec<u8>, lifetime: Duration) {
        let now = Instant::now();
        let ends = now + lifetime;
        let mut inner = self.lock();
        while let Some((end, _)) = inner.order.front()
            && (*end <= now || inner.order.len() >= self.most)
        {
            if let Some((end, oldest)) = inner.order.pop_front()
                && inner.kept.get(&oldest).is_some_and(|(kept, _)| *kept == end)
            {
                inner.kept.remove(&oldest);
            }
        }
        inner.order.push_back((ends, key.clone()));
        inner.kept.insert(key, (ends, value));
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.lock().kept.get(key).filter(|(ends, _)| *ends > Instant::now()).map(|(_, value)| value.clone())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.lock().kept.remove(key).filter(|(ends, _)| *ends > Instant::now()).map(|(_, value)| value)
    }
}

/// The sessions of one server in a zone: those of others are not its own.
#[derive(Debug)]
pub struct Scoped {
    /// The zone.
    pub sessions: Arc<Sessions>,
    /// What tells servers apart.
    pub scope: [u8; 16],
    /// `ssl_session_timeout`
    pub lifetime: Duration,
}

impl Scoped {
    fn key(&self, key: &[u8]) -> Vec<u8> {
        [&self.scope[..], key].concat()
    }
}

impl StoresServerSessions for Scoped {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.sessions.put(self.key(&key), value, self.lifetime);
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.sessions.get(&self.key(key))
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.sessions.take(&self.key(key))
    }

    fn can_cache(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_the_oldest_and_the_expired() {
        let sessions = Sessions::new(2);
        let long = Duration::from_secs(60);
        for key in [b"a", b"b", b"c"] {
            sessions.put(key.to_vec(), key.to_vec(), long);
        }
        assert_eq!((sessions.get(b"a"), sessions.get(b"b")), (None, Some(b"b".to_vec())));
        assert_eq!((sessions.take(b"c"), sessions.take(b"c")), (Some(b"c".to_vec()), None));
        sessions.put(b"d".to_vec(), b"d".to_vec(), Duration::ZERO);
        assert_eq!(sessions.get(b"d"), None);
    }

    #[test]
    fn keeps_servers_apart() {
        let sessions = Arc::new(Sessions::new(10));
        let scoped =
            |scope| Scoped { sessions: sessions.clone(), scope: [scope; 16], lifetime: Duration::from_secs(60) };
        assert!(scoped(1).put(b"a".to_vec(), b"1".to_vec()));
        assert_eq!((scoped(2).get(b"a"), scoped(1).get(b"a")), (None, Some(b"1".to_vec())));
    }
}
