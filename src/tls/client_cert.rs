//! Asks clients for their certificates. Whether these are any good is looked at when the handshake is done, as nginx
//! does: whoever has a bad one is told so in a page.

use std::fmt;

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use super::provider;
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

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, cert, dss, false)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, cert, dss, true)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

/// Whether somebody has the key of the certificate that he shows. Certificates without extensions, which rustls does not
/// read, are as good as others here.
pub(super) fn check_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signed: &DigitallySignedStruct,
    tls13: bool,
) -> Result<HandshakeSignatureValid, Error> {
    let certificate = Certificate::read(certificate).ok_or(CertificateError::BadEncoding)?;
    if certificate.signed_handshake(message, signed.scheme, signed.signature(), tls13) {
        return Ok(HandshakeSignatureValid::assertion());
    }
    Err(CertificateError::BadSignature.into())
}
