//! Whether a certificate may be trusted, by OpenSSL's rules and in its words: a chain up to somebody who is known, each
//! link signed, in force, not revoked, and allowed to be what it is used as.

use rustls::pki_types::CertificateDer;

use super::x509::{CERT_SIGN, CRL_SIGN, Certificate, RevocationList};
use crate::http::VerifyFault;

/// What a certificate is to be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To know a client by.
    Client,
    /// To know a server by.
    Server,
    /// For anything.
    Any,
}

/// Whom to trust.
#[derive(Debug)]
pub struct Trust {
    /// Those who may sign.
    pub anchors: Vec<CertificateDer<'static>>,
    /// Lists of revoked certificates in DER; where there is any, each certificate needs one of its issuer.
    pub revoked: Vec<Vec<u8>>,
    /// How many others may stand between.
    pub depth: u64,
    /// What for.
    pub purpose: Purpose,
}

const fn fault(code: u32, text: &'static str) -> VerifyFault {
    VerifyFault { code, text }
}

const NO_CRL: VerifyFault = fault(3, "unable to get certificate CRL");
const BAD_SIGNATURE: VerifyFault = fault(7, "certificate signature failure");
const CRL_BAD_SIGNATURE: VerifyFault = fault(8, "CRL signature failure");
const NOT_YET: VerifyFault = fault(9, "certificate is not yet valid");
const EXPIRED: VerifyFault = fault(10, "certificate has expired");
const CRL_NOT_YET: VerifyFault = fault(11, "CRL is not yet valid");
const CRL_EXPIRED: VerifyFault = fault(12, "CRL has expired");
const SELF_SIGNED: VerifyFault = fault(18, "self-signed certificate");
const SELF_SIGNED_IN_CHAIN: VerifyFault = fault(19, "self-signed certificate in certificate chain");
const NO_LOCAL_ISSUER: VerifyFault = fault(20, "unable to get local issuer certificate");
const FIRST_UNVERIFIED: VerifyFault = fault(21, "unable to verify the first certificate");
const TOO_LONG: VerifyFault = fault(22, "certificate chain too long");
const REVOKED: VerifyFault = fault(23, "certificate revoked");
const NO_CA: VerifyFault = fault(79, "invalid CA certificate");
const PATH_LENGTH: VerifyFault = fault(25, "path length constraint exceeded");
const PURPOSE: VerifyFault = fault(26, "unsuitable certificate purpose");
const CRITICAL: VerifyFault = fault(34, "unhandled critical extension");
const CONSTRAINTS: VerifyFault = fault(51, "unsupported name constraint type");

/// The longest chain that is looked at.
const LONGEST: usize = 32;

impl Trust {
    /// Looks at the chain that somebody presented, his own certificate first; `now` is in seconds since 1970.
    ///
    /// # Errors
    /// Why it is not trusted.
    pub fn verify(&self, presented: &[CertificateDer<'_>], now: i64) -> Result<(), VerifyFault> {
        if presented.is_empty() || presented.len() > LONGEST {
            return Err(TOO_LONG);
        }
        if presented.iter().any(|der| Certificate::read(der).is_none()) {
            return Err(BAD_SIGNATURE);
        }
        let presented: Vec<_> = presented.iter().filter_map(|der| Certificate::read(der)).collect();
        let anchors: Vec<_> = self.anchors.iter().filter_map(|der| Certificate::read(der)).collect();
        let (chain, unanchored) = chain(&presented, &anchors);
        // Of a certificate that stands alone OpenSSL says so when it looks at signatures, which is late.
        let (alone, unanchored) = match unanchored {
            Some(FIRST_UNVERIFIED) => (unanchored, None),
            _ => (None, unanchored),
        };
        let (uses, revoked) = (self.check_uses(&chain), self.check_revoked(&chain, now));
        let faults = [unanchored, uses, revoked, alone, check_times(&chain, now)];
        // nginx lets OpenSSL go on, and takes the last thing that it says.
        faults.into_iter().flatten().next_back().map_or(Ok(()), Err)
    }

    /// The chain that leads from what somebody presented to an anchor, as far as it goes.
    pub fn chain(&self, presented: &[CertificateDer<'_>]) -> Vec<CertificateDer<'static>> {
        let presented: Vec<_> = presented.iter().filter_map(|der| Certificate::read(der)).collect();
        let anchors: Vec<_> = self.anchors.iter().filter_map(|der| Certificate::read(der)).collect();
        if presented.is_empty() {
            return Vec::new();
        }
        let (chain, _) = chain(&presented, &anchors);
        chain.iter().map(|link| CertificateDer::from(link.der.to_vec())).collect()
    }

    /// The same authorities, believed about those who answer for certificates.
    #[must_use]
    pub fn for_responders(&self) -> Self {
        Self { anchors: self.anchors.clone(), revoked: Vec::new(), depth: u64::MAX, purpose: Purpose::Any }
    }

    /// Whether each certificate may stand where it does.
    fn check_uses(&self, chain: &[Certificate<'_>]) -> Option<VerifyFault> {
        let mut faults = chain.iter().enumerate().filter_map(|(at, certificate)| {
            let is_last = at + 1 == chain.len();
            self.check_use(&chain[..at], certificate, is_last).or_else(|| self.check_purpose(certificate, at))
        });
        // Neither the first nor the anchor counts.
        let too_long = chain.len().saturating_sub(2) as u64 > self.depth;
        faults.next_back().or(too_long.then_some(TOO_LONG))
    }

    /// The same of one, in front of which stand those that it signed.
    fn check_use(
        &self,
        below: &[Certificate<'_>],
        certificate: &Certificate<'_>,
        is_last: bool,
    ) -> Option<VerifyFault> {
        let uses = &certificate.uses;
        if uses.unknown_critical {
            return Some(CRITICAL);
        }
        if uses.name_constraints {
            // Nobody here can tell whether they are kept.
            return Some(CONSTRAINTS);
        }
        if below.is_empty() {
            return None;
        }
        if !(uses.ca || is_last && uses.is_v1) || uses.key_usage.is_some_and(|bits| bits & CERT_SIGN == 0) {
            return Some(NO_CA);
        }
        let between = below[1..].iter().filter(|issuer| !issuer.is_self_issued()).count() as u64;
        uses.path_length.is_some_and(|most| between > most).then_some(PATH_LENGTH)
    }

    fn check_purpose(&self, certificate: &Certificate<'_>, at: usize) -> Option<VerifyFault> {
        const ID_KP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3];
        const ANY: &[u8] = &[0x55, 0x1d, 0x25, 0];
        let wanted = match self.purpose {
            Purpose::Any => return None,
            Purpose::Server => 1,
            Purpose::Client => 2,
        };
        let serves = |purpose: &Vec<u8>| purpose == ANY || purpose.strip_prefix(ID_KP) == Some(&[wanted]);
        if certificate.uses.purposes.as_ref().is_some_and(|purposes| !purposes.iter().any(serves)) {
            return Some(PURPOSE);
        }
        // Digital signature, key agreement; for servers the encipherment of keys too.
        let bits = match self.purpose {
            Purpose::Client => 0x8800,
            Purpose::Server | Purpose::Any => 0xa800,
        };
        (at == 0 && certificate.uses.key_usage.is_some_and(|usage| usage & bits == 0)).then_some(PURPOSE)
    }

    fn check_revoked(&self, chain: &[Certificate<'_>], now: i64) -> Option<VerifyFault> {
        if self.revoked.is_empty() {
            return None;
        }
        let lists: Vec<_> = self.revoked.iter().filter_map(|der| RevocationList::read(der)).collect();
        let check = |(at, certificate): (usize, &Certificate<'_>)| {
            let issuer = chain.get(at + 1).unwrap_or(certificate);
            let may_sign = issuer.uses.key_usage.is_none_or(|bits| bits & CRL_SIGN != 0);
            let fits = |list: &&RevocationList<'_>| !list.is_partial && list.issuer == certificate.issuer && may_sign;
            let is_signed = |list: &&RevocationList<'_>| list.is_signed_by(issuer);
            // Of several the newest counts.
            let Some(list) = lists.iter().filter(fits).filter(is_signed).max_by_key(|list| list.this_update) else {
                return Some(if lists.iter().any(|list| fits(&list)) { CRL_BAD_SIGNATURE } else { NO_CRL });
            };
            match list {
                list if list.has(certificate.serial) => Some(REVOKED),
                list if list.this_update > now => Some(CRL_NOT_YET),
                list if list.next_update.is_some_and(|next| next < now) => Some(CRL_EXPIRED),
                _ => None,
            }
        };
        chain.iter().enumerate().filter_map(check).next_back()
    }
}

/// Whether all are in force; the first one is looked at last.
fn check_times(chain: &[Certificate<'_>], now: i64) -> Option<VerifyFault> {
    let check = |certificate: &Certificate<'_>| match certificate {
        certificate if now < certificate.not_before => Some(NOT_YET),
        certificate if now > certificate.not_after => Some(EXPIRED),
        _ => None,
    };
    chain.iter().rev().filter_map(check).next_back()
}

/// The chain from the first certificate presented up to an anchor, as far as it goes, and why it ends early.
fn chain<'a>(
    presented: &[Certificate<'a>],
    anchors: &[Certificate<'a>],
) -> (Vec<Certificate<'a>>, Option<VerifyFault>) {
    let mut chain = vec![presented[0].clone()];
    loop {
        let last = &chain[chain.len() - 1];
        if last.is_self_issued() && anchors.iter().any(|anchor| anchor.der == last.der) {
            return (chain, None);
        }
        if last.is_self_issued() && last.is_signed_by(last) {
            let fault = if chain.len() == 1 { SELF_SIGNED } else { SELF_SIGNED_IN_CHAIN };
            return (chain, Some(fault));
        }
        let issued = |other: &&Certificate<'a>| {
            other.subject == last.issuer && !chain.iter().any(|link| link.der == other.der) && last.is_signed_by(other)
        };
        let known = anchors.iter().find(issued);
        let Some(next) = known.or_else(|| presented[1..].iter().find(issued)) else {
            let fault = if chain.len() == 1 { FIRST_UNVERIFIED } else { NO_LOCAL_ISSUER };
            return (chain, Some(fault));
        };
        chain.push(next.clone());
        if chain.len() > LONGEST {
            return (chain, Some(TOO_LONG));
        }
    }
}
