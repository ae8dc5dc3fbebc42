//! A response between the handler that made it and the connection that sends it.

use bytes::Bytes;

use super::{Body, FileStat, HeaderId, Headers, Tunnel, date};

/// A response on its way through the filters. Fields that nginx keeps apart from the list of headers
/// stand apart here too, because it writes them first and filters change them.
#[derive(Debug, Default)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The upstream's status line behind the version (`200 Fine`), kept as it came.
    pub status_line: Option<Bytes>,
    /// The status line is an upstream's, which may say of a 204 what it wants.
    pub verbatim: bool,
    /// `Content-Type` without the charset that the charset filter adds.
    pub content_type: Option<Bytes>,
    /// The charset to be written behind the type.
    pub charset: Option<Bytes>,
    /// A charset that stands inside `content_type`: where the type before it ends, and its name.
    pub charset_in_type: Option<(usize, Bytes)>,
    /// `Content-Length` in bytes; `None` lets the connection frame the body.
    pub content_length: Option<u64>,
    /// `Last-Modified` in seconds since 1970, where it was not taken from upstream as text.
    pub last_modified: Option<i64>,
    /// All other headers, in order.
    pub headers: Headers,
    /// Whether ranges of the body may be asked for.
    pub allow_ranges: bool,
    /// Whether the body, being a part of a larger one, may be ranged only as a whole (`slice`, caches).
    pub single_range: bool,
    /// Whether subrequests are ranged along with the main request (`slice`).
    pub subrequest_ranges: bool,
    /// Where in the whole of it the body begins, in bytes.
    pub content_offset: u64,
    /// The body.
    pub body: Body,
    /// The file whose whole content the body is, as long as it is in one piece. What is made of such a body may
    /// be kept for the next time.
    pub file: Option<FileStat>,
    /// Whether the head alone is sent, whatever the method (204, 304).
    pub header_only: bool,
    /// Whether `gzip` looked at it (`Vary: Accept-Encoding` under `gzip_vary`).
    pub gzip_vary: bool,
    /// Trailers that the head announces are to be sent behind the body.
    pub expect_trailers: bool,
    /// Its `Location` may be made absolute: it was not taken from upstream.
    pub redirect: bool,
    /// `Connection: Upgrade` goes to the client (101).
    pub upgrade: bool,
    /// What takes the connection over once the head has been sent; the body is empty then.
    pub tunnel: Option<Tunnel>,
    /// An upstream without `Server` is passed on without one.
    pub no_server: bool,
    /// An upstream without `Date` is passed on without one.
    pub no_date: bool,
    /// Conditions of the request do not count: the upstream has seen them.
    pub unconditional: bool,
    /// The body alone is sent, and the connection closed: an upstream answered without a head, as HTTP/0.9 does.
    pub bare: bool,
}

impl Response {
    /// A response without body or headers.
    pub fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    /// A response whose body is all there.
    pub fn with_bytes(status: u16, content_type: impl Into<Bytes>, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        Self {
            status,
            content_type: Some(content_type.into()),
            content_length: Some(body.len() as u64),
            body: Body::Bytes(body),
            ..Self::default()
        }
    }

    /// When it was changed, in seconds since 1970, whether the file system or upstream's header says so.
    pub fn modified(&self) -> Option<i64> {
        self.last_modified.or_else(|| date::parse_http(self.headers.get(HeaderId::LastModified)?))
    }

    /// Takes `Content-Type` from upstream, and looks for a charset in it.
    pub fn set_upstream_type(&mut self, content_type: Bytes) {
        self.charset_in_type = charset_in_type(&content_type);
        self.content_type = Some(content_type);
    }

    /// The file whose content the body still is.
    pub fn whole_file(&self) -> Option<FileStat> {
        let whole = |stat: &FileStat| match &self.body {
            Body::Bytes(bytes) => bytes.len() as u64 == stat.size,
            Body::File(range) => range.start == 0 && range.end == stat.size,
            Body::Empty | Body::Stream(_) => false,
        };
        self.file.filter(whole)
    }

    /// The same head without the body.
    pub fn head(&self) -> Self {
        Self {
            status: self.status,
            content_type: self.content_type.clone(),
            charset: self.charset.clone(),
            charset_in_type: self.charset_in_type.clone(),
            content_length: self.content_length,
            last_modified: self.last_modified,
            headers: self.headers.clone(),
            ..Self::default()
        }
    }

    /// Forgets the length, as a filter that changes the body must.
    pub fn clear_content_length(&mut self) {
        self.content_length = None;
        self.headers.remove(HeaderId::ContentLength);
    }

    /// Forgets that ranges may be asked for.
    pub fn clear_accept_ranges(&mut self) {
        self.allow_ranges = false;
        self.headers.remove(HeaderId::AcceptRanges);
    }

    /// Forgets when it was changed.
    pub fn clear_last_modified(&mut self) {
        self.last_modified = None;
        self.headers.remove(HeaderId::LastModified);
    }

    /// Forgets the entity tag.
    pub fn clear_etag(&mut self) {
        self.headers.remove(HeaderId::ETag);
    }

    /// Makes a strong entity tag weak, as a filter that changes the body's bytes but not its meaning must.
    pub fn weaken_etag(&mut self) {
        let Some(etag) = self.headers.get(HeaderId::ETag) else { return };
        if etag.len() > 2 && etag.starts_with(b"W/") {
            return;
        }
        if !etag.starts_with(b"\"") {
            return self.clear_etag();
        }
        let weak = [b"W/", etag].concat();
        self.headers.set(HeaderId::ETag, &weak);
    }

    /// Whether the type, in any case and without a charset that upstream wrote into it, is one of these.
    pub fn has_type(&self, types: &super::MediaTypes) -> bool {
        let end = self.charset_in_type.as_ref().map(|(end, _)| *end);
        let name = self.content_type.as_deref().map(|name| &name[..end.unwrap_or(name.len())]);
        types.is_any() || name.is_some_and(|name| types.contains(name))
    }
}

/// Where a type ends before its charset, and the charset, quotes taken away.
fn charset_in_type(content_type: &Bytes) -> Option<(usize, Bytes)> {
    let end = memchr::memchr_iter(b';', content_type).find(|at| charset_name(content_type, *at).is_some())?;
    let name = charset_name(content_type, end)?;
    let first = usize::from(name.starts_with(b"\""));
    let last = name.len() - usize::from(name.len() > first && name.ends_with(b"\""));
    Some((end, name.slice(first..last)))
}

fn charset_name(content_type: &Bytes, semicolon: usize) -> Option<Bytes> {
    let start = semicolon + 1;
    let start = start + content_type[start..].iter().take_while(|byte| **byte == b' ').count();
    let name = start + b"charset=".len();
    let found = content_type.get(start..name)?.eq_ignore_ascii_case(b"charset=");
    found.then(|| content_type.slice(name..))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_charsets_in_types() {
        let found = |text: &'static str| {
            let mut response = Response::default();
            response.set_upstream_type(Bytes::from_static(text.as_bytes()));
            response.charset_in_type.map(|(length, name)| (length, String::from_utf8(name.to_vec()).unwrap()))
        };
        assert_eq!(found("text/html; charset=utf-8"), Some((9, "utf-8".to_owned())));
        assert_eq!(found("text/html;x=y;  CHARSET=\"koi8-r\""), Some((13, "koi8-r".to_owned())));
        assert_eq!(found("text/html; charset="), Some((9, String::new())));
        assert_eq!(found("text/html; charset=\""), Some((9, String::new())));
        assert_eq!(found("text/html"), None);
    }
}
