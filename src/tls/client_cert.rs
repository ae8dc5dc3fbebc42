//! Asks clients for their certificates. Whether these are any good is looked at when the handshake is done, as nginx
//! does: whoever has a bad one is told so in a page.

use std::fmt;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DistinguishedName, Error};

use super::signature::signatures_are_checked;
use super::x509::Certificate;

/// Takes any certificate whose key the client has.
pub struct ClientCertificates {
    /// Whose certificates clients are told to choose from.
    hints: Vec<DistinguishedName>,
}

impl ClientCertificates {
    /// Names those who sign: `ssl_client_certificate`.
    pub fn new(authorities: &[CertificateDer<'_>]) -> Self {
        let subject = |der: &CertificateDer<'_>| {
            let name = Certificate::read(der)?.subject;
            // rustls puts tag and length in front by itself.
            super::der::Der(name).sequence().map(|inside| DistinguishedName::in_sequence(inside.0))
        };
        let mut hints: Vec<DistinguishedName> = Vec::new();
        for hint in authorities.iter().filter_map(subject) {
            if !hints.iter().any(|known| known.as_ref() == hint.as_ref()) {
                hints.push(hint);
            }
        }
        Self { hints }
    }
}

impl fmt::Debug for ClientCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificates").field("hints", &self.hints.len()).finish()
    }
}

impl ClientCertVerifier for ClientCertificates {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.hints
    }

    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    signatures_are_checked!();
}
