//! Sessions that clients keep themselves, sealed: `ssl_session_tickets`, `ssl_session_ticket_key`. RFC 5077, section 4.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::digest;
use aws_lc_rs::rand;
use rustls::server::ProducesTickets;

/// How long a key's name is, in bytes.
const NAME: usize = 16;

/// Sessions are padded to a multiple of this, in bytes: their lengths tell nothing of what is in them.
const PADDED: usize = 128;

/// The keys of a configuration, or of one server where files hold them.
#[derive(Debug)]
pub struct TicketKeys {
    keys: Mutex<Vec<TicketKey>>,
    /// Keys of our own are replaced after this time.
    rotates: Option<Duration>,
}

struct TicketKey {
    name: [u8; NAME],
    secret: [u8; 32],
    made: Instant,
}

impl std::fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TicketKey").finish_non_exhaustive()
    }
}

impl TicketKeys {
    /// Keys of chance, each used for so long, and good for twice that time.
    pub fn random(rotates: Duration) -> Self {
        Self { keys: Mutex::default(), rotates: Some(rotates.max(Duration::from_secs(1))) }
    }

    /// The contents of key files of 48 or 80 bytes: the first one seals, all of them open.
    pub fn from_files(files: &[Vec<u8>]) -> Self {
        let key = |file: &Vec<u8>| {
            let mut name = [0; NAME];
            name.copy_from_slice(&file[..NAME]);
            let mut secret = [0; 32];
            secret.copy_from_slice(digest::digest(&digest::SHA256, file).as_ref());
            TicketKey { name, secret, made: Instant::now() }
        };
        Self { keys: Mutex::new(files.iter().map(key).collect()), rotates: None }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<TicketKey>> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key that seals now.
    fn sealing(&self, scope: &[u8; 16]) -> Option<([u8; NAME], LessSafeKey)> {
        let mut keys = self.lock();
        if let Some(rotates) = self.rotates
            && keys.first().is_none_or(|key| key.made.elapsed() >= rotates)
        {
            let (mut name, mut secret) = ([0; NAME], [0; 32]);
            rand::fill(&mut name).and_then(|()| rand::fill(&mut secret)).ok()?;
            keys.retain(|key| key.made.elapsed() < 2 * rotates);
            keys.insert(0, TicketKey { name, secret, made: Instant::now() });
        }
        let key = keys.first()?;
        Some((key.name, key.scoped(scope)?))
    }

    /// The key of a name.
    fn opening(&self, name: &[u8], scope: &[u8; 16]) -> Option<LessSafeKey> {
        let keys = self.lock();
        let key = keys.iter().find(|key| key.name == name)?;
        if self.rotates.is_some_and(|rotates| key.made.elapsed() >= 2 * rotates) {
            return None;
        }
        key.scoped(scope)
    }
}

impl TicketKey {
    /// The key as one server uses it: tickets of another do not open with it.
    fn scoped(&self, scope: &[u8; 16]) -> Option<LessSafeKey> {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(&self.secret);
        context.update(scope);
        UnboundKey::new(&AES_256_GCM, context.finish().as_ref()).ok().map(LessSafeKey::new)
    }
}

/// The tickets of one server.
#[derive(Debug)]
pub struct Tickets {
    /// What seals them.
    pub keys: Arc<TicketKeys>,
    /// What tells servers apart.
    pub scope: [u8; 16],
    /// `ssl_session_timeout`
    pub lifetime: Duration,
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(self.lifetime.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let (name, key) = self.keys.sealing(&self.scope)?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let length = u16::try_from(plain.len()).ok()?;
        let mut text = now().to_be_bytes().to_vec();
        text.extend_from_slice(&length.to_be_bytes());
        text.extend_from_slice(plain);
        text.resize(text.len().next_multiple_of(PADDED), 0);
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut text).ok()?;
        Some([&name[..], &nonce, &text].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        let key = self.keys.opening(name, &self.scope)?;
        let mut text = text.to_vec();
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let plain = key.open_in_place(nonce, Aad::from(name), &mut text).ok()?;
        let (made, rest) = plain.split_at_checked(8)?;
        let (length, rest) = rest.split_first_chunk::<2>()?;
        let session = rest.get(..u16::from_be_bytes(*length).into())?;
        let age = now().checked_sub(u64::from_be_bytes(made.try_into().ok()?))?;
        (age < self.lifetime.as_secs()).then(|| session.to_vec())
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(keys: &Arc<TicketKeys>, scope: u8, seconds: u64) -> Tickets {
        Tickets { keys: keys.clone(), scope: [scope; 16], lifetime: Duration::from_secs(seconds) }
    }

    #[test]
    fn opens_its_own_tickets_only() {
        let keys = Arc::new(TicketKeys::random(Duration::from_secs(300)));
        let ticket = tickets(&keys, 1, 300).encrypt(b"session").unwrap();
        assert_eq!(tickets(&keys, 1, 300).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        assert_eq!(tickets(&keys, 2, 300).decrypt(&ticket), None);
        assert_eq!(tickets(&keys, 1, 0).decrypt(&ticket), None);
        let mut damaged = ticket.clone();
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(tickets(&keys, 1, 300).decrypt(&damaged), None);
        assert_eq!(tickets(&keys, 1, 300).decrypt(&ticket[..20]), None);
    }

    #[test]
    fn keys_of_files_open_what_any_of_them_sealed() {
        let (old, new) = (vec![1; 48], vec![2; 80]);
        let before = Arc::new(TicketKeys::from_files(std::slice::from_ref(&old)));
        let after = Arc::new(TicketKeys::from_files(&[new, old]));
        let ticket = tickets(&before, 1, 300).encrypt(b"session").unwrap();
        assert_eq!(tickets(&after, 1, 300).decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        let newer = tickets(&after, 1, 300).encrypt(b"session").unwrap();
        assert_eq!(tickets(&before, 1, 300).decrypt(&newer), None);
    }
}
