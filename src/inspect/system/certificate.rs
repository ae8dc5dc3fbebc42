//! Certificates: until when they hold, and which names they cover. RFC 5280.

use std::{collections::HashSet, path::PathBuf};

use jiff::Timestamp;

use crate::{
    diag::Diagnostic,
    inspect::{Inspection, effective::Nests},
    paths,
    schema::Context,
    tls::{self, der::Der},
};

/// So many days before the end it is said.
const SOON: i64 = 14;

/// What of a certificate matters here.
#[derive(Debug, Default, PartialEq, Eq)]
struct Certificate {
    /// Seconds since 1970.
    begins: i64,
    ends: i64,
    /// Names, in lower case; the first label may be `*`.
    names: Vec<String>,
}

pub(super) fn check(look: &Inspection) -> Vec<Diagnostic> {
    let (mut found, mut seen) = (Vec::new(), HashSet::<PathBuf>::new());
    for nest in Nests::new(look).all().iter().filter(|nest| nest.context().intersects(Context::SERVER)) {
        let in_force = nest.in_force();
        let named =
            |name: &'static [u8]| in_force.iter().map(|one| one.directive).filter(move |one| *one.name.value == *name);
        for directive in named(b"ssl_certificate") {
            let Some(word) = directive.args.first().filter(|word| !word.value.contains(&b'$')) else { continue };
            let path = look.paths.conf_prefix.join(paths::from_bytes(&word.value));
            let Some(certificate) = read(&path) else { continue };
            if seen.insert(path.clone()) {
                found.extend(times(&certificate, &path.display().to_string()).map(|fault| fault.at(word.span)));
            }
            for name in named(b"server_name").flat_map(|one| &one.args) {
                if let Some(fault) = uncovered(&certificate, &name.text()) {
                    found.push(fault.at(name.span).related(word.span, "the certificate"));
                }
            }
        }
    }
    found
}

fn read(path: &std::path::Path) -> Option<Certificate> {
    let chain = tls::certificates(&std::fs::read(path).ok()?).ok()?;
    parse(chain.first()?)
}

fn times(certificate: &Certificate, path: &str) -> Option<Diagnostic> {
    let now = Timestamp::now().as_second();
    let day = |seconds: i64| {
        Timestamp::from_second(seconds).map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%d").to_string())
    };
    let (code, message) = if certificate.ends < now {
        ("certificate-expired", format!("the certificate {path} ended on {}", day(certificate.ends)))
    } else if certificate.begins > now {
        ("certificate-early", format!("the certificate {path} begins on {}", day(certificate.begins)))
    } else if certificate.ends - now < SOON * 86_400 {
        ("certificate-ends-soon", format!("the certificate {path} ends on {}", day(certificate.ends)))
    } else {
        return None;
    };
    Some(Diagnostic::warning(code, message).help("a new one, where certbot made it: certbot renew"))
}

/// A name of the server that the certificate does not hold for.
fn uncovered(certificate: &Certificate, name: &str) -> Option<Diagnostic> {
    let name = name.to_ascii_lowercase();
    let name = name.strip_prefix('.').unwrap_or(&name);
    let is_plain = !name.is_empty() && !name.starts_with('~') && name.contains('.') && !name.ends_with('*');
    let covers = |held: &String| match held.strip_prefix("*.") {
        Some(rest) => held == name || name.split_once('.').is_some_and(|(_, behind)| behind == rest),
        None => held == name,
    };
    if !is_plain || certificate.names.iter().any(covers) {
        return None;
    }
    let message = format!("the certificate does not hold for {name}");
    let names = certificate.names.join(", ");
    let fault = Diagnostic::warning("certificate-name", message).label(format!("it holds for {names}"));
    Some(fault.help(format!("ask for one with this name too: certbot certonly --expand -d {name}")))
}

/// Reads the parts of a certificate in DER.
fn parse(bytes: &[u8]) -> Option<Certificate> {
    let mut body = Der(bytes).sequence()?.sequence()?;
    body.optional(0xa0);
    // Serial number, algorithm, issuer.
    (0..3).try_for_each(|_| body.next().map(|_| ()))?;
    let mut validity = body.sequence()?;
    let (begins, ends) = (time(validity.next()?)?, time(validity.next()?)?);
    let mut subject = body.sequence()?;
    body.next()?;
    let mut names = Vec::new();
    while let Some((tag, value)) = body.next() {
        if tag == 0xa3 {
            alternative_names(Der(value), &mut names);
        }
    }
    if names.is_empty() {
        common_name(&mut subject, &mut names);
    }
    Some(Certificate { begins, ends, names })
}

/// The extension 2.5.29.17.
fn alternative_names(mut extensions: Der<'_>, names: &mut Vec<String>) -> Option<()> {
    let mut extensions = extensions.sequence()?;
    while let Some(mut extension) = extensions.sequence() {
        if extension.next()?.1 != [0x55, 0x1d, 0x11] {
            continue;
        }
        extension.optional(tls::der::BOOLEAN);
        let mut list = Der(extension.expect(tls::der::OCTET_STRING)?).sequence()?;
        while let Some((tag, value)) = list.next() {
            if tag == 0x82 {
                names.push(String::from_utf8_lossy(value).to_ascii_lowercase());
            }
        }
    }
    Some(())
}

/// The attribute 2.5.4.3 of the subject.
fn common_name(subject: &mut Der<'_>, names: &mut Vec<String>) {
    while let Some((_, set)) = subject.next() {
        let Some(mut attribute) = Der(set).sequence() else { continue };
        if attribute.next().is_some_and(|(_, oid)| oid == [0x55, 0x04, 0x03])
            && let Some((_, value)) = attribute.next()
        {
            names.push(String::from_utf8_lossy(value).to_ascii_lowercase());
        }
    }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`, as seconds since 1970.
fn time((tag, value): (u8, &[u8])) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?.strip_suffix('Z')?;
    let text = match tag {
        // RFC 5280, 4.1.2.5.1: 50 and above are of the last century.
        0x17 => format!("{}{text}", if text.get(..2)? >= "50" { "19" } else { "20" }),
        _ => text.to_owned(),
    };
    let part = |range: std::ops::Range<usize>| text.get(range)?.parse::<i16>().ok();
    let small = |range| i8::try_from(part(range)?).ok();
    let (year, month, day) = (part(0..4)?, small(4..6)?, small(6..8)?);
    let (hour, minute, second) = (small(8..10)?, small(10..12)?, small(12..14)?);
    let date = jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_of_two_kinds() {
        assert_eq!(time((0x17, b"700101000000Z")), Some(0));
        assert_eq!(time((0x18, b"20260102030405Z")), Some(1_767_323_045));
        assert_eq!(time((0x17, b"bogus")), None);
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let held = Certificate { names: vec!["*.example.com".into(), "example.com".into()], ..Certificate::default() };
        let is_fine = |name: &str| uncovered(&held, name).is_none();
        assert!(is_fine("example.com") && is_fine("www.example.com") && is_fine("*.example.com") && is_fine("~^x$"));
        assert!(!is_fine("a.b.example.com") && !is_fine("example.org"));
    }
}
