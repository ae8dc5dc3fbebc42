//! How a server greets its clients: one configuration of rustls for each server that an encrypted address has.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{
    CipherSuite, Error, NamedGroup, ProtocolVersion, ServerConfig, SignatureScheme, SupportedCipherSuite,
    SupportedProtocolVersion,
};

use super::{Dynamic, Ocsp, Scoped, Sessions, Staple, TicketKeys, Tickets, Trust};
use crate::http::{ServerId, VirtualServers};

/// `ssl_verify_client`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// Nobody is asked for a certificate.
    #[default]
    Off,
    /// Whoever has no good one is refused.
    On,
    /// Whoever has none is served, one that is not good is refused.
    Optional,
    /// Any will do, as long as what is wrong with it is only who signed it.
    OptionalNoCa,
}

/// A server as clients of one address meet it.
#[derive(Debug)]
pub struct Site {
    /// What rustls needs to know.
    pub config: Arc<ServerConfig>,
    /// `ssl_reject_handshake`
    pub reject: bool,
    /// TLS 1.3 is spoken.
    pub tls13: bool,
    /// Whom to believe what clients say of themselves; `None` where nobody is asked.
    pub trust: Option<Arc<Trust>>,
    /// Certificates whose names hold variables.
    pub dynamic: Option<Arc<Dynamic>>,
    /// `ssl_ocsp`
    pub ocsp: Option<Arc<Ocsp>>,
    /// What is sent along with certificates, and asked for while clients come.
    pub staples: Vec<Arc<Staple>>,
    /// How one of several certificates is chosen.
    pub choosing: Arc<Choosing>,
}

/// What a site is made of.
pub struct SiteParts {
    /// Suites and groups.
    pub provider: Arc<CryptoProvider>,
    /// Versions.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// `ssl_prefer_server_ciphers`
    pub own_order: bool,
    /// Certificates.
    pub certificates: Vec<Arc<CertifiedKey>>,
    /// Who looks at the certificates of clients.
    pub verifier: Arc<dyn ClientCertVerifier>,
    /// Whether HTTP/2 is spoken.
    pub http2: bool,
    /// `ssl_buffer_size`, bytes.
    pub buffer_size: usize,
    /// Keys for tickets, where they are given out.
    pub tickets: Option<Arc<TicketKeys>>,
    /// Where sessions are kept.
    pub sessions: Option<Arc<Sessions>>,
    /// `ssl_session_timeout`
    pub lifetime: Duration,
    /// `ssl_early_data`
    pub early_data: bool,
    /// What tells the sessions of servers apart.
    pub scope: [u8; 16],
    /// `ssl_reject_handshake`
    pub reject: bool,
    /// See [`Site::trust`].
    pub trust: Option<Arc<Trust>>,
    /// See [`Site::dynamic`].
    pub dynamic: Option<Arc<Dynamic>>,
    /// See [`Site::ocsp`].
    pub ocsp: Option<Arc<Ocsp>>,
    /// See [`Site::staples`].
    pub staples: Vec<Arc<Staple>>,
}

/// As much early data as nginx takes, in bytes: what OpenSSL allows by itself.
const EARLY_DATA: u32 = 16 << 10;

/// Largest plain text of a record and its head, in bytes, as rustls counts.
const FRAGMENT: usize = (16 << 10) + 5;

impl Site {
    /// Puts a site together.
    ///
    /// # Errors
    /// Versions and suites that do not go together.
    pub fn new(parts: SiteParts) -> Result<Self, Error> {
        let tls13 = parts.versions.iter().any(|version| version.version == ProtocolVersion::TLSv1_3);
        let mut suites = parts.provider.cipher_suites.clone();
        suites.retain(|suite| suite.tls13().is_none());
        let certificates = Certificates {
            keys: parts.certificates,
            staples: parts.staples.clone(),
            choosing: Arc::new(Choosing { suites, own_order: parts.own_order, tls13 }),
        };
        let choosing = certificates.choosing.clone();
        let certificates = Arc::new(certificates);
        let builder = ServerConfig::builder_with_provider(parts.provider).with_protocol_versions(&parts.versions)?;
        let mut config = builder.with_client_cert_verifier(parts.verifier).with_cert_resolver(certificates);
        config.ignore_client_order = parts.own_order;
        config.max_fragment_size = Some((parts.buffer_size + 5).clamp(64, FRAGMENT));
        config.alpn_protocols = [&b"h2"[..], b"http/1.1", b"http/1.0", b"http/0.9"].map(<[u8]>::to_vec).into();
        if !parts.http2 {
            config.alpn_protocols.remove(0);
        }
        config.session_storage = match parts.sessions {
            Some(sessions) => Arc::new(Scoped { sessions, scope: parts.scope, lifetime: parts.lifetime }),
            None => Arc::new(NoServerSessionStorage {}),
        };
        if parts.early_data {
            // Whoever sees a session's early data twice was played a trick: such sessions are kept here, and used once.
            config.max_early_data_size = EARLY_DATA;
            // Requests that come so early are answered before the client has said its last word.
            config.send_half_rtt_data = true;
        } else if let Some(keys) = parts.tickets {
            config.ticketer = Arc::new(Tickets { keys, scope: parts.scope, lifetime: parts.lifetime });
        }
        let SiteParts { reject, trust, dynamic, ocsp, staples, .. } = parts;
        Ok(Self { config: Arc::new(config), reject, tls13, trust, dynamic, ocsp, staples, choosing })
    }
}

/// The sites of a configuration.
#[derive(Debug, Default)]
pub struct Sites {
    /// By the default server of an address, the server that a client asked for, and whether the address itself speaks
    /// HTTP/2.
    pub sites: HashMap<(ServerId, ServerId, bool), Arc<Site>>,
    /// `ssl_verify_client` of each server.
    pub verify: Vec<Verify>,
}

impl Sites {
    /// The site of a server.
    pub fn find(&self, servers: &VirtualServers, server: ServerId) -> Option<&Arc<Site>> {
        self.sites.get(&(servers.default, server, servers.http2_address))
    }

    /// `ssl_verify_client` of a server.
    pub fn verify(&self, server: ServerId) -> Verify {
        self.verify.get(server.0 as usize).copied().unwrap_or_default()
    }
}

/// Now, in seconds since 1970.
pub fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs().cast_signed())
}

/// The certificates of one server.
#[derive(Debug)]
pub struct Certificates {
    /// With their keys.
    pub keys: Vec<Arc<CertifiedKey>>,
    /// What is sent along with some of them.
    pub staples: Vec<Arc<Staple>>,
    /// How one of them is chosen.
    pub choosing: Arc<Choosing>,
}

/// How one of several certificates is chosen.
#[derive(Debug)]
pub struct Choosing {
    /// Those of TLS 1.2 that are spoken.
    suites: Vec<SupportedCipherSuite>,
    /// `ssl_prefer_server_ciphers`
    own_order: bool,
    /// TLS 1.3 is spoken.
    tls13: bool,
}

impl Certificates {
    /// TLS 1.3: the first of the client's ways to sign for which there is a key; most put those of elliptic curves first.
    fn by_scheme(&self, hello: &ClientHello<'_>) -> Option<&Arc<CertifiedKey>> {
        let find = |scheme: &SignatureScheme| self.keys.iter().find(|key| signs(key, *scheme));
        hello.signature_schemes().iter().find_map(find)
    }

    /// TLS 1.2: the suites say which keys will do, and of elliptic curves the client must know the key's.
    fn by_suite(&self, hello: &ClientHello<'_>) -> Option<&Arc<CertifiedKey>> {
        let Choosing { suites, own_order, .. } = &*self.choosing;
        let (offered, groups) = (hello.cipher_suites(), hello.named_groups());
        let fits = |suite: &SupportedCipherSuite| {
            self.keys.iter().find(|key| {
                let takes = |scheme: &SignatureScheme| signs(key, *scheme);
                suite.usable_for_signature_algorithm(key.key.algorithm())
                    && hello.signature_schemes().iter().any(takes)
                    && curve(key).is_none_or(|curve| groups.is_none_or(|groups| groups.contains(&curve)))
            })
        };
        if *own_order {
            return suites.iter().filter(|suite| offered.contains(&suite.suite())).find_map(fits);
        }
        let known = |offered: &CipherSuite| suites.iter().find(|suite| suite.suite() == *offered);
        offered.iter().filter_map(known).find_map(fits)
    }
}

fn signs(key: &CertifiedKey, scheme: SignatureScheme) -> bool {
    key.key.choose_scheme(&[scheme]).is_some()
}

/// The curve of a key, where it has one that has to be agreed on.
fn curve(key: &CertifiedKey) -> Option<NamedGroup> {
    let curves = [
        (SignatureScheme::ECDSA_NISTP256_SHA256, NamedGroup::secp256r1),
        (SignatureScheme::ECDSA_NISTP384_SHA384, NamedGroup::secp384r1),
        (SignatureScheme::ECDSA_NISTP521_SHA512, NamedGroup::secp521r1),
    ];
    curves.into_iter().find(|(scheme, _)| signs(key, *scheme)).map(|(_, curve)| curve)
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let is_tls13 = |suite: &CipherSuite| u16::from(*suite) >> 8 == 0x13;
        let found = match self.choosing.tls13 && hello.cipher_suites().iter().any(is_tls13) {
            true => self.by_scheme(&hello),
            false => self.by_suite(&hello),
        }?;
        let staple = self.staples.iter().find(|staple| Arc::ptr_eq(&staple.bare, found));
        Some(staple.map_or_else(|| found.clone(), |staple| staple.current(unix_now())))
    }
}
