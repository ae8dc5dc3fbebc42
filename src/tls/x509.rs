//! Certificates and lists of revoked ones, read as far as trust and `$ssl_client_…` need them. RFC 5280.

use jiff::civil;
use rustls::SignatureScheme;
use rustls::pki_types::SignatureVerificationAlgorithm;

use super::der::{BIT_STRING, BOOLEAN, Der, INTEGER, OCTET_STRING, OID};
use super::provider;

/// A certificate's parts; names and keys as they stand.
#[derive(Clone, Debug)]
pub struct Certificate<'a> {
    /// All of it.
    pub der: &'a [u8],
    tbs: &'a [u8],
    /// The number that its issuer gave it.
    pub serial: &'a [u8],
    /// Who signed it: a name, with tag and length.
    pub issuer: &'a [u8],
    /// Whose it is.
    pub subject: &'a [u8],
    /// From when, in seconds since 1970.
    pub not_before: i64,
    /// Until when.
    pub not_after: i64,
    /// The key, with tag and length.
    pub key_info: &'a [u8],
    key_algorithm: &'a [u8],
    key: &'a [u8],
    signature_algorithm: &'a [u8],
    signature: &'a [u8],
    /// What it may be used for.
    pub uses: Uses,
}

/// A certificate's extensions.
#[derive(Clone, Debug, Default)]
pub struct Uses {
    /// It has none, being older than them.
    pub is_v1: bool,
    /// `CA:TRUE`
    pub ca: bool,
    /// How many issuers may stand between it and a certificate that is none.
    pub path_length: Option<u64>,
    /// Bits of the key's uses, the first one the highest.
    pub key_usage: Option<u16>,
    /// What the key is for, by number.
    pub purposes: Option<Vec<Vec<u8>>>,
    /// It says which names it may sign.
    pub name_constraints: bool,
    /// Names of hosts that it is for.
    pub host_names: Option<Vec<Vec<u8>>>,
    /// The first URL of those who know whether it is still good.
    pub ocsp: Option<Vec<u8>>,
    /// Something must be understood that is not.
    pub unknown_critical: bool,
}

/// `keyCertSign` and `cRLSign`.
pub const CERT_SIGN: u16 = 0x0400;
/// Signs lists of revoked certificates.
pub const CRL_SIGN: u16 = 0x0200;

impl<'a> Certificate<'a> {
    /// Reads one; `None` where it is damaged.
    pub fn read(der: &'a [u8]) -> Option<Self> {
        let Signed { tbs, mut body, algorithm: signature_algorithm, signature } = Signed::read(der)?;
        let is_v1 = body.optional(0xa0).is_none();
        let serial = body.expect(INTEGER)?;
        body.sequence()?;
        let issuer = body.raw()?;
        let mut validity = body.sequence()?;
        let (not_before, not_after) = (time(validity.next()?)?, time(validity.next()?)?);
        let subject = body.raw()?;
        let key_info = body.raw()?;
        let mut info = Der(key_info).sequence()?;
        let key_algorithm = info.sequence()?.0;
        let key = bits(info.expect(BIT_STRING)?)?;
        body.optional(0x81);
        body.optional(0x82);
        let mut uses = Uses { is_v1, ..Uses::default() };
        if let Some(extensions) = body.optional(0xa3) {
            let mut extensions = Der(extensions).sequence()?;
            while !extensions.0.is_empty() {
                uses.take(extensions.sequence()?)?;
            }
        }
        Some(Self {
            der,
            tbs,
            serial,
            issuer,
            subject,
            not_before,
            not_after,
            key_info,
            key_algorithm,
            key,
            signature_algorithm,
            signature,
            uses,
        })
    }

    /// Whether it names itself as its issuer.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether it is a host's: by its own list of names, or where it has none by its subject's common name (RFC 6125).
    pub fn is_for(&self, host: &[u8]) -> bool {
        if host.is_empty() {
            return false;
        }
        match &self.uses.host_names {
            Some(names) => names.iter().any(|name| matches_host(name, host)),
            None => self.common_names().iter().any(|name| matches_host(name, host)),
        }
    }

    fn common_names(&self) -> Vec<&'a [u8]> {
        const COMMON_NAME: &[u8] = &[0x55, 4, 3];
        let mut names = Vec::new();
        let mut list = Der(self.subject).sequence().unwrap_or(Der(&[]));
        while let Some((_, set)) = list.next() {
            let mut set = Der(set);
            while let Some(mut part) = set.sequence() {
                if part.expect(OID) == Some(COMMON_NAME) {
                    names.extend(part.next().map(|(_, value)| value));
                }
            }
        }
        names
    }

    /// Whether another certificate's key signed it.
    pub fn is_signed_by(&self, issuer: &Certificate<'_>) -> bool {
        issuer.signed(self.tbs, self.signature_algorithm, self.signature)
    }

    /// Whether its key signed a message of a handshake. In TLS 1.3 (RFC 8446, 4.2.3) a scheme fixes the curve too, and
    /// PKCS #1 v1.5 is no more.
    pub fn signed_handshake(&self, message: &[u8], scheme: SignatureScheme, signature: &[u8], tls13: bool) -> bool {
        let pkcs1 =
            [SignatureScheme::RSA_PKCS1_SHA256, SignatureScheme::RSA_PKCS1_SHA384, SignatureScheme::RSA_PKCS1_SHA512];
        if tls13 && pkcs1.contains(&scheme) {
            return false;
        }
        let mapping = provider().signature_verification_algorithms.mapping;
        let Some((_, known)) = mapping.iter().find(|(known, _)| *known == scheme) else { return false };
        let known = if tls13 { &known[..1] } else { known };
        let fits =
            |known: &&&dyn SignatureVerificationAlgorithm| known.public_key_alg_id().as_ref() == self.key_algorithm;
        known.iter().filter(fits).any(|known| known.verify_signature(self.key, message, signature).is_ok())
    }

    /// The bits of its key.
    pub fn key_bits(&self) -> &'a [u8] {
        self.key
    }

    /// Whether its key signed a message, by an algorithm that stands in front of the signature.
    pub fn signed(&self, message: &[u8], algorithm: &[u8], signature: &[u8]) -> bool {
        let fits = |known: &&&dyn SignatureVerificationAlgorithm| {
            known.signature_alg_id().as_ref() == algorithm && known.public_key_alg_id().as_ref() == self.key_algorithm
        };
        let known = provider().signature_verification_algorithms.all.iter();
        known.filter(fits).any(|known| known.verify_signature(self.key, message, signature).is_ok())
    }
}

/// `*.example.com` stands for one label, and there must be two behind it.
fn matches_host(pattern: &[u8], host: &[u8]) -> bool {
    if pattern.eq_ignore_ascii_case(host) {
        return true;
    }
    let Some(tail) = pattern.strip_prefix(b"*").filter(|tail| tail.starts_with(b".")) else { return false };
    let Some(dot) = memchr::memchr(b'.', host).filter(|dot| *dot > 0) else { return false };
    tail[1..].contains(&b'.') && host[dot..].eq_ignore_ascii_case(tail)
}

/// Where to find out more about the issuer (RFC 5280, 4.2.2.1).
const AUTHORITY_INFORMATION: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 1, 1];

fn first_ocsp_url(mut value: Der<'_>) -> Option<Vec<u8>> {
    const OCSP: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1];
    const URL: u8 = 0x86;
    let mut list = value.sequence()?;
    while let Some(mut description) = list.sequence() {
        if description.expect(OID)? == OCSP {
            return description.expect(URL).map(<[u8]>::to_vec);
        }
    }
    None
}

/// Numbers of extensions, behind `id-ce`.
const ID_CE: &[u8] = &[0x55, 0x1d];

impl Uses {
    /// Whether its issuer lets it say whether others are still good.
    pub fn signs_ocsp(&self) -> bool {
        const OCSP_SIGNING: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 9];
        self.purposes.as_ref().is_some_and(|purposes| purposes.iter().any(|purpose| purpose == OCSP_SIGNING))
    }

    fn take(&mut self, mut extension: Der<'_>) -> Option<()> {
        let number = extension.expect(OID)?;
        let critical = extension.optional(BOOLEAN).is_some_and(|value| value != [0]);
        let value = Der(extension.expect(OCTET_STRING)?);
        if number == AUTHORITY_INFORMATION {
            self.ocsp = first_ocsp_url(value);
            return Some(());
        }
        match number.strip_prefix(ID_CE) {
            Some([19]) => {
                let mut constraints = { value }.sequence()?;
                self.ca = constraints.optional(BOOLEAN).is_some_and(|value| value != [0]);
                self.path_length = constraints.optional(INTEGER).map(small_number);
            }
            Some([15]) => {
                let usage = { value }.expect(BIT_STRING)?.get(1..)?;
                let byte = |at: usize| u16::from(usage.get(at).copied().unwrap_or(0));
                self.key_usage = Some(byte(0) << 8 | byte(1));
            }
            Some([37]) => {
                let mut list = { value }.sequence()?;
                let mut purposes = Vec::new();
                while !list.0.is_empty() {
                    purposes.push(list.expect(OID)?.to_vec());
                }
                self.purposes = Some(purposes);
            }
            Some([17]) => {
                const HOST: u8 = 0x82;
                let (mut list, mut names) = ({ value }.sequence()?, Vec::new());
                while let Some((kind, name)) = list.next() {
                    if kind == HOST {
                        names.push(name.to_vec());
                    }
                }
                self.host_names = Some(names).filter(|names| !names.is_empty());
            }
            Some([30]) => self.name_constraints = true,
            // Key identifiers, policies: they forbid nothing.
            Some([14 | 35 | 31 | 32]) => {}
            _ => self.unknown_critical |= critical,
        }
        Some(())
    }
}

/// Whether one certificate signed another, by the names in them.
pub fn is_issuer(issuer: &[u8], certificate: &[u8]) -> bool {
    let (issuer, certificate) = (Certificate::read(issuer), Certificate::read(certificate));
    issuer
        .zip(certificate)
        .is_some_and(|(issuer, certificate)| issuer.subject == certificate.issuer && certificate.is_signed_by(&issuer))
}

/// Who knows whether a certificate is still good, as it says itself.
pub fn ocsp_url(certificate: &[u8]) -> Option<Vec<u8>> {
    Certificate::read(certificate)?.uses.ocsp
}

/// A list of certificates that are not good any more.
#[derive(Clone, Debug)]
pub struct RevocationList<'a> {
    tbs: &'a [u8],
    /// Who signed it.
    pub issuer: &'a [u8],
    /// From when, in seconds since 1970.
    pub this_update: i64,
    /// Until when, where it says so.
    pub next_update: Option<i64>,
    revoked: Vec<&'a [u8]>,
    /// It is not all of the issuer's, or of more than one.
    pub is_partial: bool,
    signature_algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> RevocationList<'a> {
    /// Reads one; `None` where it is damaged.
    pub fn read(der: &'a [u8]) -> Option<Self> {
        let Signed { tbs, mut body, algorithm: signature_algorithm, signature } = Signed::read(der)?;
        body.optional(INTEGER);
        body.sequence()?;
        let issuer = body.raw()?;
        let this_update = time(body.next()?)?;
        let next_update = if matches!(body.0.first(), Some(0x17 | 0x18)) { Some(time(body.next()?)?) } else { None };
        let mut revoked = Vec::new();
        if body.0.first() == Some(&super::der::SEQUENCE) {
            let mut list = body.sequence()?;
            while !list.0.is_empty() {
                revoked.push(list.sequence()?.expect(INTEGER)?);
            }
        }
        let mut is_partial = false;
        if let Some(extensions) = body.optional(0xa0) {
            let mut extensions = Der(extensions).sequence()?;
            while !extensions.0.is_empty() {
                let mut extension = extensions.sequence()?;
                extension.expect(OID)?;
                is_partial |= extension.optional(BOOLEAN).is_some_and(|critical| critical != [0]);
            }
        }
        Some(Self { tbs, issuer, this_update, next_update, revoked, is_partial, signature_algorithm, signature })
    }

    /// Whether a certificate's key signed it.
    pub fn is_signed_by(&self, issuer: &Certificate<'_>) -> bool {
        issuer.signed(self.tbs, self.signature_algorithm, self.signature)
    }

    /// Whether it has this number.
    pub fn has(&self, serial: &[u8]) -> bool {
        self.revoked.contains(&serial)
    }
}

/// What both have around them: a body, and somebody's signature below it.
struct Signed<'a> {
    /// The body with its tag and length, as it was signed.
    tbs: &'a [u8],
    body: Der<'a>,
    algorithm: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    fn read(der: &'a [u8]) -> Option<Self> {
        let mut whole = Der(der).sequence()?;
        let tbs = whole.raw()?;
        let algorithm = whole.sequence()?.0;
        let signature = bits(whole.expect(BIT_STRING)?)?;
        Some(Self { tbs, body: Der(tbs).sequence()?, algorithm, signature })
    }
}

fn small_number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

/// The bytes of a bit string that has no bits over.
fn bits(value: &[u8]) -> Option<&[u8]> {
    match value {
        [0, bytes @ ..] => Some(bytes),
        _ => None,
    }
}

/// `UTCTime` and `GeneralizedTime`, in seconds since 1970.
pub(super) fn time((tag, value): (u8, &[u8])) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?.strip_suffix('Z')?;
    let (year, rest) = match tag {
        0x17 => {
            let year: i16 = text.get(..2)?.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, text.get(2..)?)
        }
        0x18 => (text.get(..4)?.parse().ok()?, text.get(4..)?),
        _ => return None,
    };
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let time = civil::DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    time.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|time| time.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_names_of_hosts() {
        for (pattern, host, expected) in [
            ("a.example", "A.example", true),
            ("*.a.example", "b.a.example", true),
            ("*.a.example", "c.b.a.example", false),
            ("*.a.example", "a.example", false),
            ("*.example", "a.example", false),
            ("*", "a", false),
            ("b*.a.example", "bc.a.example", false),
        ] {
            assert_eq!(matches_host(pattern.as_bytes(), host.as_bytes()), expected, "{pattern} {host}");
        }
    }

    #[test]
    fn reads_times() {
        assert_eq!(time((0x17, b"700101000000Z")), Some(0));
        assert_eq!(time((0x18, b"20240229120000Z")), Some(1_709_208_000));
        assert_eq!(
            (time((0x17, b"701301000000Z")), time((0x17, b"70010100Z")), time((4, b"700101000000Z"))),
            (None, None, None)
        );
    }
}
