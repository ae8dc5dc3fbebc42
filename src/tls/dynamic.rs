//! Certificates whose names hold variables: read when they are needed, and kept for a while where that is asked for.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rustls::sign::CertifiedKey;

use super::{KeyFault, certificates, key_pair, private_key};
use crate::http::{Request, Script, clock};
use crate::log::Level;

/// Certificates that are read when they are needed.
#[derive(Debug)]
pub struct Dynamic {
    /// Names of certificates, each with that of its key.
    pub pairs: Vec<(Script, Script)>,
    /// Passwords for the keys.
    pub passwords: Vec<Vec<u8>>,
    /// Where relative names stand.
    pub folder: PathBuf,
    /// `ssl_certificate_cache`
    pub cache: Option<CertificateCache>,
}

/// `ssl_certificate_cache`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CertificateCache {
    /// Which directive it is: each keeps its own.
    pub id: u64,
    /// `max=`
    pub most: usize,
    /// `inactive=`
    pub inactive: Duration,
    /// `valid=`
    pub valid: Duration,
}

impl Dynamic {
    /// The certificates as a request names them; an empty name is none. `None` where one cannot be read, which the log
    /// knows then.
    pub fn keys(&self, r: &Rc<Request>) -> Option<Vec<Arc<CertifiedKey>>> {
        let mut keys = Vec::new();
        for (certificate, key) in &self.pairs {
            let (certificate, key) = (certificate.eval(r), key.eval(r));
            if !certificate.is_empty() {
                keys.push(pair(r, self, &certificate, &key)?);
            }
        }
        Some(keys)
    }
}

/// A certificate's and a key's name.
type Names = (Bytes, Bytes);

/// Pairs of one thread, by the directive that keeps them.
#[derive(Default)]
struct Kept(RefCell<HashMap<u64, HashMap<Names, KeptPair>>>);

struct KeptPair {
    pair: Arc<CertifiedKey>,
    read: Instant,
    used: Instant,
}

fn pair(r: &Rc<Request>, dynamic: &Dynamic, certificate: &Bytes, key: &Bytes) -> Option<Arc<CertifiedKey>> {
    let Some(cache) = dynamic.cache else { return read(r, dynamic, certificate, key).map(|(pair, _)| Arc::new(pair)) };
    let names = (certificate.clone(), key.clone());
    let kept = r.local.state.get::<Kept>();
    let mut caches = kept.0.borrow_mut();
    let kept = caches.entry(cache.id).or_default();
    let now = clock::now();
    let age = |since: Instant| now.saturating_duration_since(since);
    kept.retain(|_, kept| age(kept.used) < cache.inactive.max(Duration::from_secs(1)) && age(kept.read) < cache.valid);
    if let Some(found) = kept.get_mut(&names) {
        found.used = now;
        return Some(found.pair.clone());
    }
    let (pair, is_encrypted) = read(r, dynamic, certificate, key)?;
    let pair = Arc::new(pair);
    if is_encrypted {
        // Whoever has no password must not have the key.
        return Some(pair);
    }
    // nginx counts a certificate and its key for two.
    if 2 * kept.len() + 2 > cache.most
        && let Some(oldest) = kept.iter().min_by_key(|(_, kept)| kept.used).map(|(names, _)| names.clone())
    {
        kept.remove(&oldest);
    }
    if cache.most < 2 {
        return Some(pair);
    }
    kept.insert(names, KeptPair { pair: pair.clone(), read: now, used: now });
    Some(pair)
}

/// Reads a pair; with it, whether the key is encrypted.
fn read(r: &Request, dynamic: &Dynamic, certificate: &Bytes, key: &Bytes) -> Option<(CertifiedKey, bool)> {
    let complain = |what: &str, shown: &str, why: String| {
        r.log(Level::Error, format_args!("{what} \"{shown}\": {why}"));
    };
    let (shown, text) = source(dynamic, certificate);
    let chain = text.and_then(|text| certificates(&text).map_err(|fault| fault.to_string()));
    let chain = chain.inspect_err(|why| complain("cannot load certificate", &shown, why.clone())).ok()?;
    let (shown, text) = source(dynamic, key);
    let is_encrypted = text.as_ref().is_ok_and(|text| memchr::memmem::find(text, b"ENCRYPTED").is_some());
    let signing = text.and_then(|text| private_key(&text, &dynamic.passwords).map_err(|fault| fault.to_string()));
    let signing = signing.inspect_err(|why| complain("cannot load certificate key", &shown, why.clone())).ok()?;
    let pair = key_pair(chain, signing);
    let pair = pair
        .inspect_err(|why| r.log(Level::Error, format_args!("SSL_use_PrivateKey(\"{shown}\") failed (SSL: {why})")));
    Some((pair.ok()?, is_encrypted))
}

/// What stands behind a name: `data:` and the text itself, or a file.
fn source(dynamic: &Dynamic, name: &Bytes) -> (String, Result<Vec<u8>, String>) {
    let text = String::from_utf8_lossy(name).into_owned();
    if let Some(data) = name.strip_prefix(b"data:") {
        return (text, Ok(data.to_vec()));
    }
    let path = dynamic.folder.join(&text);
    let read = std::fs::read(&path).map_err(|error| KeyFault::unreadable(&path, &error).to_string());
    (path.display().to_string(), read)
}
