//! Certificates and their keys in PEM. Why one cannot be loaded is said as OpenSSL says it, with as much of its detail
//! as people search for.

use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use rustls::sign::{CertifiedKey, SigningKey};

use super::der::Der;
use super::x509::{Certificate, RevocationList};
use super::{pem_key, provider};

/// Why a certificate or key is not taken: the function of OpenSSL that fails, and its reason.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{call} failed (SSL: {detail})")]
pub struct KeyFault {
    call: &'static str,
    detail: String,
}

impl KeyFault {
    fn new(call: &'static str, detail: impl Into<String>) -> Self {
        Self { call, detail: detail.into() }
    }

    /// A file that could not be opened.
    pub fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::new("BIO_new_file()", unreadable(path, error))
    }
}

/// What OpenSSL says of a file that could not be opened.
pub fn unreadable(path: &Path, error: &io::Error) -> String {
    let errno = error.raw_os_error().unwrap_or(libc::EIO);
    let text = crate::log::describe(errno);
    let mut detail = String::new();
    let shown = path.display();
    let code = 0x8000_0000_u32 + errno.unsigned_abs();
    let _ = write!(detail, "error:{code:08X}:system library::{text}:calling fopen({shown}, r) ");
    detail.push_str(match errno {
        libc::ENOENT => "error:10000080:BIO routines::no such file",
        _ => "error:10080002:BIO routines::system lib",
    });
    detail
}

const NO_START_LINE: &str = "error:0480006C:PEM routines::no start line:Expecting: TRUSTED CERTIFICATE";
const BAD_BASE64: &str = "error:04800064:PEM routines::bad base64 decode";
const BAD_CERTIFICATE: &str = "error:068000A8:asn1 encoding routines::wrong tag \
     error:0688010A:asn1 encoding routines::nested asn1 error:Type=X509 error:0488000D:PEM routines::ASN1 lib";
const NO_KEY: &str = "error:1E08010C:DECODER routines::unsupported:No supported data to decode. Input type: PEM";
const MISMATCH: &str = "error:05800074:x509 certificate routines::key values mismatch";

/// The certificates of a PEM text, the server's own first.
///
/// # Errors
/// There is none, or one is no certificate.
pub fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, KeyFault> {
    const CALL: &str = "PEM_read_bio_X509_AUX()";
    let mut found = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(&spell_plainly(pem)) {
        match section {
            Ok((SectionKind::Certificate, mut der)) => {
                // What a trusted one says of its trust stands behind it.
                if let Some(own) = Der(&der).raw().map(<[u8]>::len) {
                    der.truncate(own);
                }
                let der = CertificateDer::from(der);
                Certificate::read(&der).ok_or_else(|| KeyFault::new(CALL, BAD_CERTIFICATE))?;
                found.push(der);
            }
            Ok(_) => {}
            Err(_) => return Err(KeyFault::new(CALL, BAD_BASE64)),
        }
    }
    if found.is_empty() { Err(KeyFault::new(CALL, NO_START_LINE)) } else { Ok(found) }
}

/// The lists of revoked certificates of a PEM text, in DER.
///
/// # Errors
/// There is none, or one is none.
pub fn revocation_lists(pem: &[u8]) -> Result<Vec<Vec<u8>>, KeyFault> {
    const CALL: &str = "PEM_read_bio_X509_CRL()";
    let mut found = Vec::new();
    for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
        match section {
            Ok((SectionKind::Crl, der)) if RevocationList::read(&der).is_some() => found.push(der),
            Ok((SectionKind::Crl, _)) => return Err(KeyFault::new(CALL, BAD_CERTIFICATE.replace("X509", "X509_CRL"))),
            Ok(_) => {}
            Err(_) => return Err(KeyFault::new(CALL, BAD_BASE64)),
        }
    }
    let nothing = NO_START_LINE.replace("TRUSTED CERTIFICATE", "X509 CRL");
    if found.is_empty() { Err(KeyFault::new(CALL, nothing)) } else { Ok(found) }
}

/// OpenSSL knows a certificate by three names.
fn spell_plainly(pem: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(pem);
    text.replace(" X509 CERTIFICATE-----", " CERTIFICATE-----")
        .replace(" TRUSTED CERTIFICATE-----", " CERTIFICATE-----")
        .into()
}

/// The first key of a PEM text; `passwords` are tried in turn where it is encrypted.
///
/// # Errors
/// There is none, none of the passwords opens it, or rustls has no use for its kind.
pub fn private_key(pem: &[u8], passwords: &[Vec<u8>]) -> Result<Arc<dyn SigningKey>, KeyFault> {
    const CALL: &str = "PEM_read_bio_PrivateKey()";
    let fault = |detail: &str| KeyFault::new(CALL, detail);
    let key = match pem_key::decrypted(pem, passwords).map_err(|what| fault(what.openssl()))? {
        Some(der) => der,
        None => plain_key(pem).ok_or_else(|| fault(NO_KEY))?,
    };
    provider().key_provider.load_private_key(key).map_err(|error| KeyFault::new(CALL, error.to_string()))
}

fn plain_key(pem: &[u8]) -> Option<PrivateKeyDer<'static>> {
    let sections = <(SectionKind, Vec<u8>)>::pem_slice_iter(pem);
    sections.filter_map(Result::ok).find_map(|(kind, der)| {
        Some(match kind {
            SectionKind::PrivateKey => PrivatePkcs8KeyDer::from(der).into(),
            SectionKind::RsaPrivateKey => PrivatePkcs1KeyDer::from(der).into(),
            SectionKind::EcPrivateKey => PrivateSec1KeyDer::from(der).into(),
            _ => return None,
        })
    })
}

/// A chain with its key.
///
/// # Errors
/// They do not belong together.
pub fn key_pair(chain: Vec<CertificateDer<'static>>, key: Arc<dyn SigningKey>) -> Result<CertifiedKey, String> {
    let own = chain.first().and_then(|der| Certificate::read(der));
    let fits = match (key.public_key(), own) {
        (Some(public), Some(own)) => public.as_ref() == own.key_info,
        _ => true,
    };
    if fits { Ok(CertifiedKey::new(chain, key)) } else { Err(MISMATCH.to_owned()) }
}
