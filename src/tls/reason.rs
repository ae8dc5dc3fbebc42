//! rustls's errors in OpenSSL's words, which are those that people search for.

use std::fmt;

use rustls::{AlertDescription, Error, PeerIncompatible, PeerMisbehaved};

/// An error as OpenSSL writes it behind `SSL:`, without brackets.
pub struct Reason<'a>(pub &'a Error);

impl fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Error::AlertReceived(alert) = self.0 {
            let number = u8::from(*alert);
            let code = 0x0A00_0000 + 1000 + u32::from(number);
            return write!(f, "error:{code:08X}:SSL routines::{}:SSL alert number {number}", alert_name(*alert));
        }
        match known(self.0) {
            Some((code, text)) => write!(f, "error:{:08X}:SSL routines::{text}", 0x0A00_0000 + code),
            None => write!(f, "{}", self.0),
        }
    }
}

fn known(error: &Error) -> Option<(u32, &'static str)> {
    Some(match error {
        Error::PeerIncompatible(
            PeerIncompatible::NoCipherSuitesInCommon | PeerIncompatible::NoSignatureSchemesInCommon,
        ) => (193, "no shared cipher"),
        Error::PeerIncompatible(PeerIncompatible::NoKxGroupsInCommon) => (101, "no suitable key share"),
        Error::PeerIncompatible(
            PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerDoesNotSupportTls12Or13,
        ) => (258, "unsupported protocol"),
        Error::General(why) if why == "no server certificate chain resolved" => (193, "no shared cipher"),
        Error::NoApplicationProtocol => (235, "no application protocol"),
        Error::InappropriateHandshakeMessage { .. } | Error::InappropriateMessage { .. } => (244, "unexpected message"),
        Error::DecryptError => (281, "decryption failed or bad record mac"),
        Error::InvalidMessage(
            rustls::InvalidMessage::UnknownProtocolVersion | rustls::InvalidMessage::InvalidContentType,
        ) => (267, "wrong version number"),
        Error::InvalidMessage(rustls::InvalidMessage::MessageTooLarge) => (198, "packet length too long"),
        Error::InvalidMessage(_) => (159, "length mismatch"),
        Error::InvalidCertificate(_) => (134, "certificate verify failed"),
        Error::PeerMisbehaved(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme) => {
            (370, "wrong signature type")
        }
        Error::PeerSentOversizedRecord => (150, "encrypted length too long"),
        _ => return None,
    })
}

fn alert_name(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::UnexpectedMessage => "sslv3 alert unexpected message",
        AlertDescription::BadRecordMac => "sslv3 alert bad record mac",
        AlertDescription::HandshakeFailure => "sslv3 alert handshake failure",
        AlertDescription::BadCertificate => "sslv3 alert bad certificate",
        AlertDescription::UnsupportedCertificate => "sslv3 alert unsupported certificate",
        AlertDescription::CertificateRevoked => "sslv3 alert certificate revoked",
        AlertDescription::CertificateExpired => "sslv3 alert certificate expired",
        AlertDescription::CertificateUnknown => "sslv3 alert certificate unknown",
        AlertDescription::IllegalParameter => "sslv3 alert illegal parameter",
        AlertDescription::UnknownCA => "tlsv1 alert unknown ca",
        AlertDescription::AccessDenied => "tlsv1 alert access denied",
        AlertDescription::DecodeError => "tlsv1 alert decode error",
        AlertDescription::DecryptError => "tlsv1 alert decrypt error",
        AlertDescription::ProtocolVersion => "tlsv1 alert protocol version",
        AlertDescription::InsufficientSecurity => "tlsv1 alert insufficient security",
        AlertDescription::InternalError => "tlsv1 alert internal error",
        AlertDescription::InappropriateFallback => "tlsv1 alert inappropriate fallback",
        AlertDescription::UserCanceled => "tlsv1 alert user cancelled",
        AlertDescription::NoRenegotiation => "tlsv1 alert no renegotiation",
        AlertDescription::UnrecognisedName => "tlsv1 unrecognized name",
        AlertDescription::CertificateRequired => "tlsv13 alert certificate required",
        AlertDescription::NoApplicationProtocol => "tlsv1 alert no application protocol",
        _ => "unknown alert type",
    }
}
