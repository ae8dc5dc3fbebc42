//! What a request knows of the encryption of its connection.

use std::cell::Cell;

use bytes::Bytes;

/// An encrypted connection, for `$ssl_…`.
#[derive(Debug, Default)]
pub struct TlsInfo {
    /// `TLSv1.3`
    pub protocol: &'static str,
    /// The cipher suite in OpenSSL's words.
    pub cipher: &'static str,
    /// The group of the key exchange by number; 0 where a session was taken up without one.
    pub group: u16,
    /// The server that the client asked for; empty where it named none.
    pub server_name: Bytes,
    /// The same as a host's name in lower case, where it is one.
    pub host: Bytes,
    /// The protocol that was agreed on inside.
    pub alpn: Option<Bytes>,
    /// Whether an older session was taken up.
    pub reused: bool,
    /// The handshake is not done: what has come was early data, which is answered already.
    pub early: Cell<bool>,
    /// The session's number.
    pub session_id: Bytes,
    /// Cipher suites that the client offered, by number.
    pub ciphers: Box<[u16]>,
    /// Groups that the client offered, by number.
    pub groups: Box<[u16]>,
    /// The client's own certificate in DER.
    pub certificate: Option<Bytes>,
    /// What is wrong with it.
    pub refused: Option<VerifyFault>,
}

/// Why a certificate is not trusted, in OpenSSL's numbers and words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyFault {
    /// `X509_V_ERR_…`
    pub code: u32,
    /// What OpenSSL says of it.
    pub text: &'static str,
}

impl VerifyFault {
    /// Whether only who signed the certificate is in doubt: enough for `optional_no_ca`.
    pub fn is_of_issuer(self) -> bool {
        matches!(self.code, 18..=21)
    }
}
