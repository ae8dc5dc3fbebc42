//! Encrypted connections to backends: `proxy_ssl_…` and their kin.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use rustls::client::danger::{ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, UnbufferedClientConnection};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, CommonState, Error, SignatureScheme, SupportedProtocolVersion};

use super::signature::signatures_are_checked;
use super::x509::Certificate;
use super::{Channel, Dynamic, Trust};
use crate::http::{Request, Script, VerifyFault};

/// How backends of a location are spoken to.
#[derive(Debug)]
pub struct Backend {
    config: Arc<ClientConfig>,
    /// `…_ssl_name`; else the name in the URL.
    pub name: Option<Script>,
    /// `…_ssl_server_name`
    pub server_name: bool,
    /// Whom to trust, with `…_ssl_verify`.
    trust: Option<Trust>,
    dynamic: Option<Dynamic>,
}

/// What a [`Backend`] is made of.
pub struct BackendParts {
    /// Suites and groups.
    pub provider: Arc<CryptoProvider>,
    /// Versions.
    pub versions: Vec<&'static SupportedProtocolVersion>,
    /// Our own certificate.
    pub certificate: Option<Arc<CertifiedKey>>,
    /// The same, where its name holds variables.
    pub dynamic: Option<Dynamic>,
    /// `…_ssl_name`
    pub name: Option<Script>,
    /// `…_ssl_server_name`
    pub server_name: bool,
    /// `…_ssl_session_reuse`
    pub session_reuse: bool,
    /// See [`Backend`].
    pub trust: Option<Trust>,
    /// Protocols to be agreed on inside.
    pub alpn: Vec<Vec<u8>>,
}

/// Why a backend is not trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendFault {
    /// Its certificate is not good.
    Certificate(VerifyFault),
    /// It is another one's.
    Name,
}

/// Backends of which sessions are kept.
const SESSIONS: usize = 256;

impl Backend {
    /// Puts it together.
    ///
    /// # Errors
    /// Versions and suites that do not go together.
    pub fn new(parts: BackendParts) -> Result<Self, Error> {
        let builder = ClientConfig::builder_with_provider(parts.provider).with_protocol_versions(&parts.versions)?;
        let builder = builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer));
        let mut config = builder.with_client_cert_resolver(Arc::new(Own(parts.certificate)));
        config.enable_sni = parts.server_name;
        config.resumption =
            if parts.session_reuse { Resumption::in_memory_sessions(SESSIONS) } else { Resumption::disabled() };
        config.alpn_protocols = parts.alpn;
        let BackendParts { name, server_name, trust, dynamic, .. } = parts;
        Ok(Self { config: Arc::new(config), name, server_name, trust, dynamic })
    }

    /// Whether two connections may stand for each other.
    pub fn is_like(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.config, &other.config)
    }

    /// The name of the backend for a request, without a port; `host` is the one in the URL.
    pub fn name_for(&self, r: &Request, host: &[u8]) -> Bytes {
        let name = self.name.as_ref().map_or_else(|| Bytes::copy_from_slice(host), |name| name.eval(r));
        let inside = if name.starts_with(b"[") { memchr::memchr(b']', &name).unwrap_or(0) } else { 0 };
        let end = memchr::memchr(b':', &name[inside..]).map_or(name.len(), |at| inside + at);
        name.slice(..end)
    }

    /// A connection before its first byte; `None` where our own certificate could not be read, which the log knows.
    ///
    /// # Errors
    /// rustls's.
    pub fn channel(&self, r: &Rc<Request>, name: &[u8]) -> Result<Option<Channel<UnbufferedClientConnection>>, Error> {
        let config = match &self.dynamic {
            None => self.config.clone(),
            Some(dynamic) => {
                let Some(keys) = dynamic.keys(r) else { return Ok(None) };
                let mut config = (*self.config).clone();
                config.client_auth_cert_resolver = Arc::new(Own(keys.into_iter().next()));
                Arc::new(config)
            }
        };
        let connection = UnbufferedClientConnection::new(config, server_name(name))?;
        Ok(Some(Channel::new(connection)))
    }

    /// Looks at the certificate of a backend when the handshake is done.
    ///
    /// # Errors
    /// Why it is not trusted.
    pub fn check(&self, state: &CommonState, name: &[u8]) -> Result<(), BackendFault> {
        let Some(trust) = &self.trust else { return Ok(()) };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs().cast_signed());
        let chain = state.peer_certificates().unwrap_or_default();
        trust.verify(chain, now).map_err(BackendFault::Certificate)?;
        let own = chain.first().and_then(|der| Certificate::read(der));
        if own.is_some_and(|certificate| certificate.is_for(name)) { Ok(()) } else { Err(BackendFault::Name) }
    }
}

/// rustls wants a name in any case; one that cannot be said is not sent.
fn server_name(name: &[u8]) -> ServerName<'static> {
    let text = std::str::from_utf8(name).unwrap_or_default().trim_matches(['[', ']']);
    let nobody = ServerName::IpAddress(std::net::IpAddr::from([0, 0, 0, 0]).into());
    ServerName::try_from(text.to_owned()).unwrap_or(nobody)
}

/// Takes any certificate whose key the backend has: whether it is good is looked at afterwards.
#[derive(Debug)]
struct AnyServer;

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    signatures_are_checked!();
}

/// Our own certificate, for backends that ask.
struct Own(Option<Arc<CertifiedKey>>);

impl fmt::Debug for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Own").finish_non_exhaustive()
    }
}

impl ResolvesClientCert for Own {
    fn resolve(&self, _hints: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.as_ref().filter(|own| own.key.choose_scheme(schemes).is_some()).cloned()
    }

    fn has_certs(&self) -> bool {
        self.0.is_some()
    }
}
