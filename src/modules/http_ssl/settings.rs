//! Directives that take more than a word.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::load::system_error;
use super::{Builtin, Conf, SessionZone};
use crate::conf::{Args, Ctx, SetResult, assign};
use crate::schema::value;
use crate::tls::CertificateCache;

/// The module that zones of sessions belong to.
pub(in crate::modules) const OWNER: &str = "http_ssl";

/// nginx's `NGX_SSL_PASSWORD_BUFFER_SIZE`.
const LONGEST_PASSWORD: usize = 4096;

/// `ssl_password_file`: a password a line.
pub(in crate::modules) fn passwords(
    field: &mut Option<Arc<Vec<Vec<u8>>>>,
    args: &Args<'_>,
    ctx: &mut Ctx<'_>,
) -> SetResult {
    let path = ctx.conf_path(&*args.text(1));
    let text = ctx.resources.read(&path).map_err(|error| {
        // A folder can be opened.
        let call = if error.kind() == io::ErrorKind::IsADirectory { "read" } else { "open" };
        args.error(1, "no-such-file", format!("{call}() \"{}\" failed {}", path.display(), system_error(&error)))
    })?;
    let mut lines: Vec<Vec<u8>> = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        if line.len() >= LONGEST_PASSWORD {
            return Err(args.error(1, "long-line", format!("too long line in \"{}\"", path.display())));
        }
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.is_empty() {
            lines.push(line.to_vec());
        }
    }
    if lines.is_empty() {
        lines.push(Vec::new());
    }
    assign(field, args, || Ok(Arc::new(lines)))
}

/// `ssl_session_cache`
pub(in crate::modules) fn session_cache(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    for index in 1..args.len() {
        let text = args.text(index);
        let invalid = || args.error(index, "invalid-value", format!("invalid session cache \"{text}\""));
        match text.split_once(':') {
            None if matches!(&*text, "off" | "none") => c.builtin = Some(Builtin::None),
            None if text == "builtin" => c.builtin = Some(Builtin::Of(20_480)),
            Some(("builtin", count)) => {
                let count = value::number(count.as_bytes()).and_then(|count| usize::try_from(count).ok());
                c.builtin = Some(Builtin::Of(count.ok_or_else(invalid)?));
            }
            Some(("shared", zone)) => {
                let (name, size) = zone.split_once(':').filter(|(name, _)| !name.is_empty()).ok_or_else(invalid)?;
                let size = value::size(size.as_bytes()).and_then(|size| usize::try_from(size).ok());
                let size = size.ok_or_else(invalid)?;
                if size < 8 * rustix::param::page_size() {
                    let message = format!("session cache \"{text}\" is too small");
                    return Err(args.error(index, "small-zone", message));
                }
                ctx.shared_zone(name.as_bytes(), size, OWNER, args.word(index).span)?;
                c.zone = Some(SessionZone { name: name.to_owned().into(), size });
            }
            _ => return Err(invalid()),
        }
    }
    if c.zone.is_some() {
        c.builtin.get_or_insert(Builtin::None);
    }
    Ok(())
}

/// `ssl_certificate_cache` and its kin.
pub(in crate::modules) fn certificate_cache(
    field: &mut Option<Option<CertificateCache>>,
    args: &Args<'_>,
) -> SetResult {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let id = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut cache = CertificateCache { id, most: 0, inactive: Duration::from_secs(10), valid: Duration::from_secs(60) };
    let mut off = false;
    for index in 1..args.len() {
        let text = args.text(index);
        let invalid = || args.invalid_parameter(index);
        let time = |text: &str| value::sec(text.as_bytes()).ok_or_else(invalid);
        match text.split_once('=') {
            None if text == "off" => off = true,
            Some(("max", most)) => {
                let most = value::number(most.as_bytes()).and_then(|most| usize::try_from(most).ok());
                cache.most = most.filter(|most| *most > 0).ok_or_else(invalid)?;
            }
            Some(("inactive", text)) => cache.inactive = time(text)?,
            Some(("valid", text)) => cache.valid = time(text)?,
            _ => return Err(invalid()),
        }
    }
    if !off && cache.most == 0 {
        let message = format!("\"{}\" must have the \"max\" parameter", args.name());
        return Err(args.error(0, "missing-parameter", message));
    }
    assign(field, args, || Ok((!off).then_some(cache)))
}
