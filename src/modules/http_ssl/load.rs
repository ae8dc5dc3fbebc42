//! Reads certificates, keys and lists of them. Only the master may: the worker has what the master read.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;

use super::Located;
use crate::conf::Ctx;
use crate::diag::Diagnostic;
use crate::tls;

/// Where a certificate comes from.
enum Source {
    File(PathBuf),
    /// `data:`, the text itself.
    Text(Vec<u8>),
}

/// What was read already: many servers name the same files, and a pipe can be read once.
#[derive(Default)]
struct Texts(HashMap<PathBuf, Vec<u8>>);

impl Source {
    fn of(ctx: &Ctx<'_>, name: &Located) -> Self {
        match name.value.strip_prefix(b"data:") {
            Some(text) => Self::Text(text.to_vec()),
            None => Self::File(ctx.conf_path(name.text())),
        }
    }

    /// As nginx names it in messages.
    fn shown(&self, name: &Located) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Text(_) => name.text(),
        }
    }

    fn read(&self, ctx: &mut Ctx<'_>) -> Result<Vec<u8>, String> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::File(path) => {
                if let Some(text) = ctx.collected::<Texts>().0.get(path) {
                    return Ok(text.clone());
                }
                let text = ctx.resources.read(path);
                let text = text.map_err(|error| tls::KeyFault::unreadable(path, &error).to_string())?;
                ctx.collected::<Texts>().0.insert(path.clone(), text.clone());
                Ok(text)
            }
        }
    }
}

/// nginx's complaint about a file that belongs to the configuration; it names no line.
pub(in crate::modules) fn fault(code: &'static str, name: &Located, message: String) -> Diagnostic {
    Diagnostic::error(code, message).at(name.at).after_reading()
}

/// The certificates of a file.
pub(in crate::modules) fn certificates(
    ctx: &mut Ctx<'_>,
    name: &Located,
) -> Result<Vec<CertificateDer<'static>>, Diagnostic> {
    let source = Source::of(ctx, name);
    let text = source.read(ctx);
    text.and_then(|text| tls::certificates(&text).map_err(|error| error.to_string())).map_err(|error| {
        fault("certificate", name, format!("cannot load certificate \"{}\": {error}", source.shown(name)))
    })
}

/// Lists of revoked certificates.
pub(in crate::modules) fn revoked(ctx: &mut Ctx<'_>, name: &Located) -> Result<Vec<Vec<u8>>, Diagnostic> {
    let source = Source::of(ctx, name);
    let text = source.read(ctx);
    text.and_then(|text| tls::revocation_lists(&text).map_err(|error| error.to_string()))
        .map_err(|error| fault("crl", name, format!("cannot load CRL \"{}\": {error}", source.shown(name))))
}

/// A certificate with its key.
pub(in crate::modules) fn pair(
    ctx: &mut Ctx<'_>,
    certificate: &Located,
    key: &Located,
    passwords: &[Vec<u8>],
) -> Result<CertifiedKey, Diagnostic> {
    let chain = certificates(ctx, certificate)?;
    if let Some(named) = key.value.strip_prefix(b"engine:") {
        let what = match named.iter().position(|byte| *byte == b':') {
            None => "invalid syntax".to_owned(),
            Some(end) => {
                let engine = String::from_utf8_lossy(&named[..end]);
                format!("ENGINE_by_id() failed (SSL: error:13000074:engine routines::no such engine:id={engine})")
            }
        };
        let message = format!("cannot load certificate key \"{}\": {what}", key.text());
        return Err(fault("certificate-key", key, message));
    }
    let source = Source::of(ctx, key);
    let text = source.read(ctx);
    let shown = source.shown(key);
    let signing = text
        .and_then(|text| tls::private_key(&text, passwords).map_err(|error| error.to_string()))
        .map_err(|error| fault("certificate-key", key, format!("cannot load certificate key \"{shown}\": {error}")))?;
    tls::key_pair(chain, signing).map_err(|detail| {
        let message = format!("SSL_CTX_use_PrivateKey(\"{shown}\") failed (SSL: {detail})");
        fault("certificate-key", key, message).related(certificate.at, "this is the certificate")
    })
}

/// A response that says that the certificate is still good: `ssl_stapling_file`, in DER.
pub(in crate::modules) fn staple(ctx: &mut Ctx<'_>, name: &Located) -> Result<Vec<u8>, Diagnostic> {
    let path = ctx.conf_path(name.text());
    ctx.resources.read(&path).map_err(|error| {
        let detail = tls::unreadable(&path, &error).replace(", r) ", ", rb) ");
        fault("stapling-file", name, format!("BIO_new_file(\"{}\") failed (SSL: {detail})", path.display()))
    })
}

/// Checks that there are parameters for Diffie-Hellman, which nobody needs any more.
pub(in crate::modules) fn dhparam(ctx: &mut Ctx<'_>, name: &Located) -> Result<(), Diagnostic> {
    let path = ctx.conf_path(name.text());
    let shown = path.display();
    let text = ctx.resources.read(&path).map_err(|error| {
        fault("dhparam", name, format!("BIO_new_file(\"{shown}\") failed (SSL: {})", tls::unreadable(&path, &error)))
    })?;
    let text = String::from_utf8_lossy(&text);
    if ["DH PARAMETERS", "X9.42 DH PARAMETERS"].iter().any(|kind| text.contains(&format!("-----BEGIN {kind}-----"))) {
        return Ok(());
    }
    let detail = "error:0480006C:PEM routines::no start line:Expecting: DH PARAMETERS";
    Err(fault("dhparam", name, format!("PEM_read_bio_Parameters(\"{shown}\") failed (SSL: {detail})")))
}

/// A file with a key for tickets.
pub(in crate::modules) fn ticket_key(ctx: &mut Ctx<'_>, name: &Located) -> Result<Vec<u8>, Diagnostic> {
    let path = ctx.conf_path(name.text());
    let shown = path.display();
    let end = ctx.end_of_http();
    let wrong = |message: String| Diagnostic::error("ticket-key", message).at(name.at).nginx_at(end);
    let read = ctx.resources.read(&path);
    let text = read.map_err(|error| wrong(format!("open() \"{shown}\" failed {}", system_error(&error))))?;
    if matches!(text.len(), 48 | 80) { Ok(text) } else { Err(wrong(format!("\"{shown}\" must be 48 or 80 bytes"))) }
}

/// What nginx writes behind a call that failed.
pub(in crate::modules) fn system_error(error: &std::io::Error) -> String {
    let errno = error.raw_os_error().unwrap_or(libc::EIO);
    format!("({errno}: {})", crate::log::describe(errno))
}

/// Shares a pair that may stand in several servers.
pub(in crate::modules) fn shared(pairs: Vec<CertifiedKey>) -> Vec<Arc<CertifiedKey>> {
    pairs.into_iter().map(Arc::new).collect()
}
