//! Keys that are encrypted: PKCS #8 with PBES2 (RFC 8018), which is what OpenSSL writes today, and the older form with
//! `DEK-Info`.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{self, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

use super::der::{Der, INTEGER, OCTET_STRING, OID};
use crate::http::md5::md5;

/// Why an encrypted key stays shut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shut {
    /// No password was given.
    NoPassword,
    /// None of them fits.
    WrongPassword,
    /// It is encrypted in a way that is not known.
    Unknown,
}

impl Shut {
    /// OpenSSL's words.
    pub fn openssl(self) -> &'static str {
        match self {
            Self::NoPassword => {
                "error:1400006B:UI routines::processing error:while reading strings \
                 error:0480006D:PEM routines::problems getting password error:04800068:PEM routines::bad password read"
            }
            Self::WrongPassword => {
                "error:1C800064:Provider routines::bad decrypt error:04800065:PEM routines::bad decrypt"
            }
            Self::Unknown => "error:04800072:PEM routines::unsupported encryption",
        }
    }
}

/// Tries one password.
type Open = Box<dyn Fn(&[u8]) -> Result<Vec<u8>, Shut>>;

/// The key of a PEM text where that is encrypted; `None` where it is not, or where there is none.
pub fn decrypted(pem: &[u8], passwords: &[Vec<u8>]) -> Result<Option<PrivateKeyDer<'static>>, Shut> {
    let text = String::from_utf8_lossy(pem);
    let Some((kind, body)) = first_key(&text) else { return Ok(None) };
    let open: Open = if kind == "ENCRYPTED PRIVATE KEY" {
        let der = base64(body).ok_or(Shut::Unknown)?;
        Box::new(move |password| pbes2(&der, password))
    } else if let Some(headers) = body.trim_start().strip_prefix("Proc-Type: 4,ENCRYPTED") {
        let (info, body) = headers
            .trim_start()
            .split_once("\n\n")
            .or_else(|| headers.trim_start().split_once("\r\n\r\n"))
            .ok_or(Shut::Unknown)?;
        let info = info.trim().strip_prefix("DEK-Info:").ok_or(Shut::Unknown)?.trim().to_owned();
        let der = base64(body).ok_or(Shut::Unknown)?;
        Box::new(move |password| traditional(&info, &der, password))
    } else {
        return Ok(None);
    };
    let mut shut = Shut::NoPassword;
    for password in passwords {
        match open(password) {
            Ok(der) if kind == "RSA PRIVATE KEY" => return Ok(Some(PrivatePkcs1KeyDer::from(der).into())),
            Ok(der) if kind == "EC PRIVATE KEY" => return Ok(Some(PrivateSec1KeyDer::from(der).into())),
            Ok(der) => return Ok(Some(PrivatePkcs8KeyDer::from(der).into())),
            Err(why) => shut = why,
        }
    }
    Err(shut)
}

/// The first section that is a key: its kind, and what stands between its lines.
fn first_key(text: &str) -> Option<(&str, &str)> {
    text.match_indices("-----BEGIN ").find_map(|(at, begin)| {
        let (kind, rest) = text[at + begin.len()..].split_once("-----")?;
        let (body, _) = rest.split_once("-----END ")?;
        kind.ends_with("PRIVATE KEY").then_some((kind, body))
    })
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let joined: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    crate::http::base64::decode(&joined)
}

const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
/// What the numbers of HMACs have in common.
const HMAC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2];
/// And those of AES's modes.
const AES: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1];

fn pbes2(der: &[u8], password: &[u8]) -> Result<Vec<u8>, Shut> {
    let parts = pbes2_parts(der).ok_or(Shut::Unknown)?;
    let mut key = vec![0; parts.cipher.key_len];
    pbkdf2::derive(parts.hmac, parts.rounds, parts.salt, password, &mut key);
    decrypt(parts.cipher, &key, parts.iv, parts.text)
}

struct Parts<'a> {
    hmac: pbkdf2::Algorithm,
    rounds: NonZeroU32,
    salt: &'a [u8],
    cipher: Cipher,
    iv: &'a [u8],
    text: &'a [u8],
}

fn pbes2_parts(der: &[u8]) -> Option<Parts<'_>> {
    let mut whole = Der(der).sequence()?;
    let mut scheme = whole.sequence()?;
    let text = whole.expect(OCTET_STRING)?;
    (scheme.expect(OID)? == PBES2).then_some(())?;
    let mut scheme = scheme.sequence()?;
    let mut derivation = scheme.sequence()?;
    (derivation.expect(OID)? == PBKDF2).then_some(())?;
    let mut derivation = derivation.sequence()?;
    let salt = derivation.expect(OCTET_STRING)?;
    let rounds = derivation.expect(INTEGER)?.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte));
    derivation.optional(INTEGER);
    let hmac = match derivation.sequence() {
        None => pbkdf2::PBKDF2_HMAC_SHA1,
        Some(mut hmac) => match hmac.expect(OID)?.strip_prefix(HMAC)? {
            [7] => pbkdf2::PBKDF2_HMAC_SHA1,
            [9] => pbkdf2::PBKDF2_HMAC_SHA256,
            [10] => pbkdf2::PBKDF2_HMAC_SHA384,
            [11] => pbkdf2::PBKDF2_HMAC_SHA512,
            _ => return None,
        },
    };
    let mut cipher = scheme.sequence()?;
    let kind = match cipher.expect(OID)?.strip_prefix(AES)? {
        [2] => Cipher::AES_128,
        [22] => Cipher::AES_192,
        [42] => Cipher::AES_256,
        _ => return None,
    };
    Some(Parts { hmac, rounds: NonZeroU32::new(rounds)?, salt, cipher: kind, iv: cipher.expect(OCTET_STRING)?, text })
}

/// `info` is `AES-128-CBC,` with the initial vector in hexadecimal digits, whose first bytes are the salt too.
fn traditional(info: &str, text: &[u8], password: &[u8]) -> Result<Vec<u8>, Shut> {
    let (name, iv) = info.split_once(',').ok_or(Shut::Unknown)?;
    let cipher = match name {
        "AES-128-CBC" => Cipher::AES_128,
        "AES-192-CBC" => Cipher::AES_192,
        "AES-256-CBC" => Cipher::AES_256,
        _ => return Err(Shut::Unknown),
    };
    let digits = iv.trim().as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    let iv: Vec<u8> =
        digits.map(byte).collect::<Option<_>>().filter(|iv: &Vec<u8>| iv.len() == 16).ok_or(Shut::Unknown)?;
    let mut key: Vec<u8> = Vec::new();
    while key.len() < cipher.key_len {
        let last = key.len().checked_sub(16).map_or(&[][..], |last| &key[last..]);
        let digest = md5(&[last, password, &iv[..8]]);
        key.extend_from_slice(&digest);
    }
    decrypt(cipher, &key[..cipher.key_len], &iv, text)
}

#[derive(Clone, Copy)]
struct Cipher {
    algorithm: &'static cipher::Algorithm,
    key_len: usize,
}

impl Cipher {
    const AES_128: Self = Self { algorithm: &cipher::AES_128, key_len: 16 };
    const AES_192: Self = Self { algorithm: &cipher::AES_192, key_len: 24 };
    const AES_256: Self = Self { algorithm: &cipher::AES_256, key_len: 32 };
}

fn decrypt(cipher: Cipher, key: &[u8], iv: &[u8], text: &[u8]) -> Result<Vec<u8>, Shut> {
    let iv: [u8; 16] = iv.try_into().map_err(|_| Shut::Unknown)?;
    let mut buffer = text.to_vec();
    let key = UnboundCipherKey::new(cipher.algorithm, key).and_then(PaddedBlockDecryptingKey::cbc_pkcs7);
    let plain = key
        .and_then(|key| Ok(key.decrypt(&mut buffer, DecryptionContext::Iv128(FixedLength::from(iv)))?.len()))
        .map_err(|_| Shut::WrongPassword)?;
    buffer.truncate(plain);
    // Padding may fit by chance; a key is a sequence in any of its forms.
    Der(&buffer).sequence().is_some().then_some(buffer).ok_or(Shut::WrongPassword)
}
