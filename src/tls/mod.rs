//! TLS on rustls, without its buffers: what both ends of a connection share, and what certificates, keys and sessions are.

mod backend;
mod channel;
mod ciphers;
mod client_cert;
pub mod der;
mod dynamic;
mod hello;
mod keys;
mod names;
mod ocsp;
mod pem_key;
mod reason;
mod sessions;
mod signature;
mod site;
mod tickets;
mod verify;
mod x509;

pub use backend::{Backend, BackendFault, BackendParts};
pub use channel::Channel;
pub use ciphers::{Ciphers, cipher_name, curve_name, curves};
pub use client_cert::ClientCertificates;
pub use dynamic::{CertificateCache, Dynamic};
pub use hello::{ClientHello, Hello, read as read_hello};
pub use keys::{KeyFault, certificates, key_pair, private_key, revocation_lists, unreadable};
pub use names::{Style, serial, subject, times};
pub use ocsp::{Asked, Belief, Ocsp, OcspCache, Responder, Staple, Status};
pub use reason::Reason;
pub use sessions::{Scoped, Sessions};
pub use site::{Certificates, Site, SiteParts, Sites, Verify, unix_now};
pub use tickets::{TicketKeys, Tickets};
pub use verify::{Purpose, Trust};
pub use x509::{is_issuer, ocsp_url};

use std::sync::{Arc, OnceLock};

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The cryptography that everything here uses.
pub fn provider() -> &'static Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    PROVIDER.get_or_init(|| Arc::new(aws_lc_rs::default_provider()))
}
