//! Asking whether a certificate is still good: OCSP's messages, what is remembered of answers, and answers that servers
//! send along with their certificates. RFC 6960; RFC 6066, section 8.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::Trust;
use super::der::{BIT_STRING, Der, INTEGER, OCTET_STRING, OID, SEQUENCE};
use super::x509::{Certificate, time};
use crate::http::sha1::sha1;

/// Whom to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Responder {
    /// The host as it stands in the URL.
    pub host: Vec<u8>,
    /// The port.
    pub port: u16,
    /// The path.
    pub uri: Vec<u8>,
    /// Addresses, where they are known already.
    pub addresses: Vec<SocketAddr>,
}

/// `ssl_ocsp`: clients' certificates are asked after.
#[derive(Debug)]
pub struct Ocsp {
    /// `ssl_ocsp_responder`; else those that certificates name.
    pub responder: Option<Responder>,
    /// `leaf`: only the client's own certificate.
    pub leaf: bool,
    /// `ssl_ocsp_cache`
    pub cache: Option<Arc<OcspCache>>,
}

/// What a responder says of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It is good.
    Good,
    /// It is not good any more.
    Revoked,
    /// The responder does not know it.
    Unknown,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Good => "good",
            Self::Revoked => "revoked",
            Self::Unknown => "unknown",
        })
    }
}

/// What is remembered of certificates: `ssl_ocsp_cache`.
#[derive(Debug)]
pub struct OcspCache {
    most: usize,
    inner: Mutex<Remembered>,
}

#[derive(Debug, Default)]
struct Remembered {
    kept: HashMap<Vec<u8>, (i64, Status)>,
    order: VecDeque<Vec<u8>>,
}

/// About what nginx keeps for each, in bytes.
const EACH: usize = 256;

impl OcspCache {
    /// Room for as many as nginx puts into so many bytes.
    pub fn of_size(bytes: usize) -> Self {
        Self { most: (bytes / EACH).max(1), inner: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Remembered> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of a certificate; `now` is in seconds since 1970.
    pub fn find(&self, key: &[u8], now: i64) -> Option<Status> {
        self.lock().kept.get(key).filter(|(valid, _)| *valid > now).map(|(_, status)| *status)
    }

    /// Remembers what was said; where nobody said for how long, for an hour.
    pub fn keep(&self, key: Vec<u8>, now: i64, (status, valid): (Status, Option<i64>)) {
        const HOUR: i64 = 3600;
        let valid = valid.unwrap_or(now + HOUR);
        if valid < now {
            return;
        }
        let mut inner = self.lock();
        if inner.kept.insert(key.clone(), (valid, status)).is_none() {
            inner.order.push_back(key);
        }
        if inner.order.len() > self.most
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.kept.remove(&oldest);
        }
    }
}

/// Whom an answer is believed from.
#[derive(Clone, Copy, Debug)]
pub enum Belief<'a> {
    /// Anybody who signed it: `ssl_stapling_verify off`.
    Anybody,
    /// Those of the certificate's chain, and as [`Self::Issuer`]: `ssl_stapling_verify on`.
    Chain(&'a Trust),
    /// The issuer, and whom it entrusts with it: `ssl_ocsp`.
    Issuer(&'a Trust),
}

/// A certificate and whoever issued it.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// Itself.
    pub certificate: Certificate<'a>,
    /// Its issuer.
    pub issuer: Certificate<'a>,
    /// The issuer's, and those above.
    pub chain: Vec<Certificate<'a>>,
}

const SHA1: &[u8] = &[SEQUENCE, 9, OID, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0];

/// Writes a value with its tag and length.
fn tagged(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match u8::try_from(length) {
        Ok(short @ 0..0x80) => out.push(short),
        _ => {
            let bytes = length.to_be_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            out.push(0x80 | (bytes.len() - zeros) as u8);
            out.extend_from_slice(&bytes[zeros..]);
        }
    }
    parts.iter().for_each(|part| out.extend_from_slice(part));
    out
}

impl<'a> Asked<'a> {
    /// Of a chain that begins with the certificate asked after; `None` where one cannot be read.
    pub fn of(chain: &'a [CertificateDer<'a>]) -> Option<Self> {
        let read: Option<Vec<_>> = chain.iter().map(|der| Certificate::read(der)).collect();
        let mut read = read?;
        (read.len() > 1).then(|| {
            let certificate = read.remove(0);
            Self { certificate, issuer: read[0].clone(), chain: read }
        })
    }

    /// What tells it from all others.
    pub fn key(&self) -> Vec<u8> {
        [&sha1(&[self.issuer.subject])[..], &sha1(&[self.issuer.key_bits()]), self.certificate.serial].concat()
    }

    /// The question, in DER.
    pub fn request(&self) -> Vec<u8> {
        let name = tagged(OCTET_STRING, &[&sha1(&[self.issuer.subject])]);
        let key = tagged(OCTET_STRING, &[&sha1(&[self.issuer.key_bits()])]);
        let serial = tagged(INTEGER, &[self.certificate.serial]);
        let id = tagged(SEQUENCE, &[SHA1, &name, &key, &serial]);
        let list = tagged(SEQUENCE, &[&tagged(SEQUENCE, &[&id])]);
        tagged(SEQUENCE, &[&tagged(SEQUENCE, &[&list])])
    }

    /// Reads an answer: what it says, and until when that holds, in seconds since 1970.
    ///
    /// # Errors
    /// nginx's sentence about it.
    pub fn read(&self, answer: &[u8], belief: Belief<'_>, now: i64) -> Result<(Status, Option<i64>), String> {
        const UNREADABLE: &str = "d2i_OCSP_RESPONSE() failed (SSL: error:068000A8:asn1 encoding routines::wrong tag)";
        let unreadable = || UNREADABLE.to_owned();
        let mut whole = Der(answer).sequence().ok_or_else(unreadable)?;
        let code = whole.expect(ENUMERATED).and_then(|code| code.first().copied()).ok_or_else(unreadable)?;
        if code != 0 {
            return Err(format!("OCSP response not successful ({code}: {})", code_text(code)));
        }
        let basic = whole.optional(0xa0).and_then(basic).ok_or_else(unreadable)?;
        let basic = Basic::read(basic).ok_or_else(unreadable)?;
        basic.check_signer(self, belief, now).map_err(|why| format!("OCSP_basic_verify() failed (SSL: {why})"))?;
        let found = basic.find(self).ok_or("certificate status not found in the OCSP response")?;
        let (status, this_update, next_update) = found;
        let untimely = |what: &str| format!("OCSP_check_validity() failed (SSL: {what})");
        if this_update > now + LEEWAY {
            return Err(untimely("error:1380007E:OCSP routines::status not yet valid"));
        }
        if next_update.is_some_and(|next| next < now - LEEWAY) {
            return Err(untimely("error:1380007D:OCSP routines::status expired"));
        }
        Ok((status, next_update))
    }
}

/// How far clocks may differ, in seconds.
const LEEWAY: i64 = 300;

const ENUMERATED: u8 = 0x0a;

fn code_text(code: u8) -> &'static str {
    match code {
        1 => "malformedrequest",
        2 => "internalerror",
        3 => "trylater",
        5 => "sigrequired",
        6 => "unauthorized",
        _ => "(UNKNOWN)",
    }
}

/// The answer proper, of the only kind that there is.
fn basic(bytes: &[u8]) -> Option<&[u8]> {
    const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
    let mut bytes = Der(bytes).sequence()?;
    (bytes.expect(OID)? == BASIC).then_some(())?;
    bytes.expect(OCTET_STRING)
}

/// A signed answer.
struct Basic<'a> {
    tbs: &'a [u8],
    /// Who signed: a name, or the hash of a key, with its tag.
    signer: (u8, &'a [u8]),
    responses: Der<'a>,
    algorithm: &'a [u8],
    signature: &'a [u8],
    certificates: Vec<Certificate<'a>>,
}

impl<'a> Basic<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut whole = Der(bytes).sequence()?;
        let tbs = whole.raw()?;
        let algorithm = whole.sequence()?.0;
        let signature = whole.expect(BIT_STRING)?.strip_prefix(&[0])?;
        let mut certificates = Vec::new();
        if let Some(list) = whole.optional(0xa0) {
            let mut list = Der(list).sequence()?;
            while !list.0.is_empty() {
                certificates.extend(Certificate::read(list.raw()?));
            }
        }
        let mut data = Der(tbs).sequence()?;
        data.optional(0xa0);
        let signer = data.next()?;
        // When it was made.
        data.next()?;
        Some(Self { tbs, signer, responses: data.sequence()?, algorithm, signature, certificates })
    }

    fn is_signer(&self, certificate: &Certificate<'_>) -> bool {
        match self.signer {
            (0xa1, name) => name == certificate.subject,
            (0xa2, hash) => Der(hash).expect(OCTET_STRING).is_some_and(|hash| hash == sha1(&[certificate.key_bits()])),
            _ => false,
        }
    }

    fn check_signer(&self, asked: &Asked<'_>, belief: Belief<'_>, now: i64) -> Result<(), String> {
        let known = asked.chain.iter().find(|certificate| self.is_signer(certificate));
        let Some(signer) = known.or_else(|| self.certificates.iter().find(|own| self.is_signer(own))) else {
            return Err("error:13800076:OCSP routines::signer certificate not found".to_owned());
        };
        if !signer.signed(self.tbs, self.algorithm, self.signature) {
            return Err("error:13800075:OCSP routines::signature failure".to_owned());
        }
        let trust = match belief {
            Belief::Anybody => return Ok(()),
            Belief::Chain(_) if known.is_some() => return Ok(()),
            Belief::Chain(trust) | Belief::Issuer(trust) => trust,
        };
        let others = self.certificates.iter().chain(&asked.chain).filter(|other| other.der != signer.der);
        let chain: Vec<_> = std::iter::once(signer).chain(others).map(|link| CertificateDer::from(link.der)).collect();
        trust.verify(&chain, now).map_err(|fault| {
            format!("error:13800065:OCSP routines::certificate verify error:Verify error: {}", fault.text)
        })?;
        let is_entrusted =
            signer.issuer == asked.issuer.subject && signer.is_signed_by(&asked.issuer) && signer.uses.signs_ocsp();
        if signer.der == asked.issuer.der || is_entrusted {
            return Ok(());
        }
        Err("error:13800067:OCSP routines::missing ocspsigning usage".to_owned())
    }

    /// What it says of a certificate, since when, and until when.
    fn find(&self, asked: &Asked<'_>) -> Option<(Status, i64, Option<i64>)> {
        let (name, key) = (sha1(&[asked.issuer.subject]), sha1(&[asked.issuer.key_bits()]));
        let mut responses = self.responses;
        while let Some(mut single) = responses.sequence() {
            let mut id = single.sequence()?;
            id.sequence()?;
            let this = (id.expect(OCTET_STRING)?, id.expect(OCTET_STRING)?, id.expect(INTEGER)?);
            if this != (&name[..], &key[..], asked.certificate.serial) {
                continue;
            }
            let status = match single.next()?.0 {
                0x80 => Status::Good,
                0xa1 => Status::Revoked,
                _ => Status::Unknown,
            };
            let this_update = time(single.next()?)?;
            let next_update = match single.optional(0xa0) {
                Some(next) => Some(time(Der(next).next()?)?),
                None => None,
            };
            return Some((status, this_update, next_update));
        }
        None
    }
}

/// What is sent along with a certificate, as its responder said it last: `ssl_stapling`.
#[derive(Debug)]
pub struct Staple {
    /// The certificate's name, for the log.
    pub name: String,
    /// The certificate without an answer.
    pub bare: Arc<CertifiedKey>,
    /// Its chain: itself, and its issuer.
    pub chain: Vec<CertificateDer<'static>>,
    /// Whom to ask.
    pub responder: Responder,
    /// `ssl_stapling_verify`
    pub trust: Option<Arc<Trust>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stapled: Option<Arc<CertifiedKey>>,
    /// Until when that may be sent, in seconds since 1970.
    valid: i64,
    /// When to ask again.
    refresh: i64,
    asking: bool,
}

impl Staple {
    /// Before anybody was asked.
    pub fn new(
        (name, bare): (String, Arc<CertifiedKey>),
        chain: Vec<CertificateDer<'static>>,
        responder: Responder,
        trust: Option<Arc<Trust>>,
    ) -> Self {
        Self { name, bare, chain, responder, trust, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The certificate, with an answer where there is one.
    pub fn current(&self, now: i64) -> Arc<CertifiedKey> {
        let state = self.lock();
        state.stapled.as_ref().filter(|_| state.valid >= now).unwrap_or(&self.bare).clone()
    }

    /// Whether the responder is to be asked now; whoever is told so asks.
    pub fn begin(&self, now: i64) -> bool {
        let mut state = self.lock();
        if state.asking || state.refresh >= now {
            return false;
        }
        state.asking = true;
        true
    }

    /// The responder was asked: its answer and until when that holds, where it is one to be sent.
    pub fn end(&self, now: i64, answer: Option<(Vec<u8>, Option<i64>)>) {
        const MINUTES: i64 = 300;
        const HOUR: i64 = 3600;
        let mut state = self.lock();
        state.asking = false;
        state.refresh = now + MINUTES;
        if let Some((answer, valid)) = answer {
            let mut stapled = (*self.bare).clone();
            stapled.ocsp = Some(answer);
            state.stapled = Some(Arc::new(stapled));
            state.valid = valid.unwrap_or(i64::MAX);
            state.refresh = (state.valid - MINUTES).min(now + HOUR).max(now + MINUTES);
        }
    }
}
