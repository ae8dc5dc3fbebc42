//! OpenSSL's lists of ciphers and curves, read for the suites and groups that rustls has.
//! <https://docs.openssl.org/3.0/man1/openssl-ciphers/>

use rustls::crypto::SupportedKxGroup;
use rustls::crypto::aws_lc_rs::{cipher_suite as suite, kx_group};
use rustls::{CipherSuite, SupportedCipherSuite};

/// A suite of TLS 1.2 with OpenSSL's and IANA's names, and the words of OpenSSL's language that mean it.
struct Known {
    suite: SupportedCipherSuite,
    name: &'static str,
    standard: &'static str,
    words: &'static [&'static str],
    bits: u16,
}

/// Words that mean all of them.
const COMMON: &[&str] =
    &["ALL", "DEFAULT", "HIGH", "kECDHE", "kEECDH", "ECDHE", "EECDH", "ECDH", "TLSv1.2", "COMPLEMENTOFNOTHING"];

/// All suites of TLS 1.2, in OpenSSL's order.
static TLS12: [Known; 6] = [
    Known {
        suite: suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-ECDSA-AES256-GCM-SHA384",
        standard: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384",
        words: &["aECDSA", "ECDSA", "AES", "AES256", "AESGCM", "FIPS", "SUITEB192", "SUITEB128"],
        bits: 256,
    },
    Known {
        suite: suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        name: "ECDHE-RSA-AES256-GCM-SHA384",
        standard: "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384",
        words: &["aRSA", "AES", "AES256", "AESGCM", "FIPS"],
        bits: 256,
    },
    Known {
        suite: suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-ECDSA-CHACHA20-POLY1305",
        standard: "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256",
        words: &["aECDSA", "ECDSA", "CHACHA20"],
        bits: 256,
    },
    Known {
        suite: suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
        name: "ECDHE-RSA-CHACHA20-POLY1305",
        standard: "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256",
        words: &["aRSA", "CHACHA20"],
        bits: 256,
    },
    Known {
        suite: suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-ECDSA-AES128-GCM-SHA256",
        standard: "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256",
        words: &["aECDSA", "ECDSA", "AES", "AES128", "AESGCM", "FIPS", "SUITEB128"],
        bits: 128,
    },
    Known {
        suite: suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        name: "ECDHE-RSA-AES128-GCM-SHA256",
        standard: "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256",
        words: &["aRSA", "AES", "AES128", "AESGCM", "FIPS"],
        bits: 128,
    },
];

/// The suites of TLS 1.3, in OpenSSL's order; `ssl_ciphers` does not choose among them.
static TLS13: [(&str, SupportedCipherSuite); 3] = [
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", suite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
];

/// A list of ciphers that was read.
#[derive(Clone, Debug, Default)]
pub struct Ciphers {
    /// Those of TLS 1.2 that it allows, the best first.
    pub tls12: Vec<SupportedCipherSuite>,
    /// Suites that it names and rustls does not have.
    pub missing: Vec<String>,
}

/// A list that leaves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no cipher match")]
pub struct CipherFault;

impl Ciphers {
    /// Reads OpenSSL's language.
    ///
    /// # Errors
    /// Nothing that rustls has is left.
    pub fn read(list: &str) -> Result<Self, CipherFault> {
        let (mut active, mut killed): (Vec<usize>, Vec<usize>) = (Vec::new(), Vec::new());
        let mut missing = Vec::new();
        for rule in list.split([':', ',', ' ', ';']).filter(|rule| !rule.is_empty()) {
            let (operator, words) = match rule.as_bytes()[0] {
                operator @ (b'!' | b'-' | b'+') => (operator, &rule[1..]),
                b'@' => {
                    if rule == "@STRENGTH" {
                        active.sort_by_key(|at| std::cmp::Reverse(TLS12[*at].bits));
                    }
                    continue;
                }
                _ => (0, rule),
            };
            let meant: Vec<usize> = (0..TLS12.len()).filter(|at| means(words, &TLS12[*at])).collect();
            if operator == 0 && meant.is_empty() && words.contains('-') {
                missing.push(words.to_owned());
            }
            match operator {
                b'!' => {
                    active.retain(|at| !meant.contains(at));
                    killed.extend(meant);
                }
                b'-' => active.retain(|at| !meant.contains(at)),
                b'+' => {
                    let (last, first): (Vec<_>, Vec<_>) = active.iter().partition(|at| meant.contains(at));
                    active = [first, last].concat();
                }
                _ => {
                    for at in meant {
                        if !active.contains(&at) && !killed.contains(&at) {
                            active.push(at);
                        }
                    }
                }
            }
        }
        match &active[..] {
            [] => Err(CipherFault),
            active => Ok(Self { tls12: active.iter().map(|at| TLS12[*at].suite).collect(), missing }),
        }
    }

    /// The suites of TLS 1.3, in OpenSSL's order.
    pub fn tls13() -> Vec<SupportedCipherSuite> {
        TLS13.iter().map(|(_, suite)| *suite).collect()
    }

    /// Reads a list of suites of TLS 1.3, as `Ciphersuites` of `ssl_conf_command` has it.
    ///
    /// # Errors
    /// It names one that there is not.
    pub fn read_tls13(list: &str) -> Result<Vec<SupportedCipherSuite>, CipherFault> {
        let find =
            |name: &str| TLS13.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, suite)| *suite);
        list.split(':').filter(|name| !name.is_empty()).map(|name| find(name).ok_or(CipherFault)).collect()
    }
}

/// Whether a suite is what words joined by `+` say.
fn means(words: &str, known: &Known) -> bool {
    words.split('+').all(|word| {
        word == known.name || word == known.standard || COMMON.contains(&word) || known.words.contains(&word)
    })
}

/// Suites of others, for `$ssl_ciphers`.
static OTHERS: &[(u16, &str)] = &[
    (0x000a, "DES-CBC3-SHA"),
    (0x002f, "AES128-SHA"),
    (0x0033, "DHE-RSA-AES128-SHA"),
    (0x0035, "AES256-SHA"),
    (0x0039, "DHE-RSA-AES256-SHA"),
    (0x003c, "AES128-SHA256"),
    (0x003d, "AES256-SHA256"),
    (0x0067, "DHE-RSA-AES128-SHA256"),
    (0x006b, "DHE-RSA-AES256-SHA256"),
    (0x009c, "AES128-GCM-SHA256"),
    (0x009d, "AES256-GCM-SHA384"),
    (0x009e, "DHE-RSA-AES128-GCM-SHA256"),
    (0x009f, "DHE-RSA-AES256-GCM-SHA384"),
    (0x00ff, "TLS_EMPTY_RENEGOTIATION_INFO_SCSV"),
    (0xc009, "ECDHE-ECDSA-AES128-SHA"),
    (0xc00a, "ECDHE-ECDSA-AES256-SHA"),
    (0xc013, "ECDHE-RSA-AES128-SHA"),
    (0xc014, "ECDHE-RSA-AES256-SHA"),
    (0xc023, "ECDHE-ECDSA-AES128-SHA256"),
    (0xc024, "ECDHE-ECDSA-AES256-SHA384"),
    (0xc027, "ECDHE-RSA-AES128-SHA256"),
    (0xc028, "ECDHE-RSA-AES256-SHA384"),
    (0xccaa, "DHE-RSA-CHACHA20-POLY1305"),
];

/// A suite's name in OpenSSL's words; `None` where it is not known.
pub fn cipher_name(number: u16) -> Option<&'static str> {
    let number_of = |suite: &SupportedCipherSuite| u16::from(suite.suite());
    let tls13 = TLS13.iter().find(|(_, suite)| number_of(suite) == number).map(|(name, _)| *name);
    let tls12 = || TLS12.iter().find(|known| number_of(&known.suite) == number).map(|known| known.name);
    let others = || OTHERS.iter().find(|(known, _)| *known == number).map(|(_, name)| *name);
    tls13.or_else(tls12).or_else(others)
}

/// The suites of RFC 8701 mean nothing.
pub fn is_grease(number: CipherSuite) -> bool {
    u16::from(number) & 0x0f0f == 0x0a0a
}

/// Groups by number, with OpenSSL's names for `$ssl_curve` first.
static GROUPS: &[(u16, &[&str])] = &[
    (23, &["prime256v1", "P-256", "secp256r1"]),
    (24, &["secp384r1", "P-384"]),
    (25, &["secp521r1", "P-521"]),
    (29, &["X25519", "x25519"]),
    (30, &["X448", "x448"]),
    (256, &["ffdhe2048"]),
    (257, &["ffdhe3072"]),
    (258, &["ffdhe4096"]),
    (259, &["ffdhe6144"]),
    (260, &["ffdhe8192"]),
    (4587, &["SecP256r1MLKEM768"]),
    (4588, &["X25519MLKEM768"]),
    (4589, &["SecP384r1MLKEM1024"]),
];

/// A group's name in OpenSSL's words.
pub fn curve_name(number: u16) -> Option<&'static str> {
    GROUPS.iter().find(|(known, _)| *known == number).map(|(_, names)| names[0])
}

/// The groups that a list such as `X25519:prime256v1` allows, and what it names that rustls does not have.
///
/// # Errors
/// The word that OpenSSL would not know either, or the whole list where nothing is left of it.
pub fn curves(list: &str) -> Result<(Vec<&'static dyn SupportedKxGroup>, Vec<String>), String> {
    if list == "auto" {
        return Ok((super::provider().kx_groups.clone(), Vec::new()));
    }
    let (mut groups, mut missing) = (Vec::new(), Vec::new());
    for word in list.split(':') {
        let found = GROUPS.iter().find(|(_, names)| names.iter().any(|name| name.eq_ignore_ascii_case(word)));
        match found.ok_or(word)?.0 {
            23 => groups.push(kx_group::SECP256R1),
            24 => groups.push(kx_group::SECP384R1),
            29 => groups.push(kx_group::X25519),
            4587 => groups.push(kx_group::SECP256R1MLKEM768),
            4588 => groups.push(kx_group::X25519MLKEM768),
            _ => missing.push(word.to_owned()),
        }
    }
    if groups.is_empty() { Err(list.to_owned()) } else { Ok((groups, missing)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<&'static str> {
        let read = Ciphers::read(list).map(|ciphers| ciphers.tls12).unwrap_or_default();
        read.iter().filter_map(|suite| cipher_name(suite.suite().into())).collect()
    }

    #[test]
    fn reads_openssls_lists() {
        assert_eq!(names("HIGH:!aNULL:!MD5").len(), 6);
        assert_eq!(names("DEFAULT:!aECDSA").len(), 3);
        assert_eq!(
            names("EECDH+AESGCM:!aRSA:@STRENGTH"),
            ["ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256"]
        );
        assert_eq!(
            names("ECDHE-RSA-AES128-GCM-SHA256:ECDHE+aRSA:+AES256:-CHACHA20"),
            ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-RSA-AES256-GCM-SHA384"]
        );
        assert_eq!(names("TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"), ["ECDHE-RSA-AES128-GCM-SHA256"]);
        assert!(names("AES128-SHA:RSA").is_empty() && names("NONSENSE").is_empty() && names("").is_empty());
    }

    #[test]
    fn says_what_is_missing() {
        let read = Ciphers::read("ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256:!AES128-SHA:RC4").unwrap();
        assert_eq!(read.missing, ["DHE-RSA-AES128-GCM-SHA256"]);
    }

    #[test]
    fn reads_curves() {
        assert_eq!(curves("auto").unwrap().0.len(), provider_groups());
        let (groups, missing) = curves("X25519:P-256:secp521r1").unwrap();
        assert_eq!((groups.len(), missing), (2, vec!["secp521r1".to_owned()]));
        assert_eq!(curves("foo:X25519").err().as_deref(), Some("foo"));
        assert_eq!(curves("secp521r1").err().as_deref(), Some("secp521r1"));
    }

    fn provider_groups() -> usize {
        super::super::provider().kx_groups.len()
    }
}
