//! Status lines and nginx's built-in error pages, as facts of the wire.

/// What `Server:` and the foot of error pages say about the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum ServerTokens {
    Off,
    #[default]
    On,
    Build,
}

impl ServerTokens {
    /// `nginx`, `nginx/1.28.3`, or `nginx/1.28.3 (rnginx/X.Y.Z)`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            ServerTokens::Off => "nginx",
            ServerTokens::On => "nginx/1.28.3",
            ServerTokens::Build => concat!("nginx/1.28.3 (rnginx/", env!("CARGO_PKG_VERSION"), ")"),
        }
    }
}

/// The status code and reason that nginx writes after `HTTP/1.1 `; `None` for a code it has no reason for,
/// which goes out as three digits and a space.
pub(crate) const fn status_line(code: u16) -> Option<&'static str> {
    Some(match code {
        200 => "200 OK",
        201 => "201 Created",
        202 => "202 Accepted",
        204 => "204 No Content",
        206 => "206 Partial Content",
        301 => "301 Moved Permanently",
        302 => "302 Moved Temporarily",
        303 => "303 See Other",
        304 => "304 Not Modified",
        307 => "307 Temporary Redirect",
        308 => "308 Permanent Redirect",
        400 => "400 Bad Request",
        401 => "401 Unauthorized",
        402 => "402 Payment Required",
        403 => "403 Forbidden",
        404 => "404 Not Found",
        405 => "405 Not Allowed",
        406 => "406 Not Acceptable",
        408 => "408 Request Time-out",
        409 => "409 Conflict",
        410 => "410 Gone",
        411 => "411 Length Required",
        412 => "412 Precondition Failed",
        413 => "413 Request Entity Too Large",
        414 => "414 Request-URI Too Large",
        415 => "415 Unsupported Media Type",
        416 => "416 Requested Range Not Satisfiable",
        421 => "421 Misdirected Request",
        429 => "429 Too Many Requests",
        500 => "500 Internal Server Error",
        501 => "501 Not Implemented",
        502 => "502 Bad Gateway",
        503 => "503 Service Temporarily Unavailable",
        504 => "504 Gateway Time-out",
        505 => "505 HTTP Version Not Supported",
        507 => "507 Insufficient Storage",
        _ => return None,
    })
}

/// The code that goes out for one of nginx's own: 494 to 497 are said as 400, the rest as they are.
pub(crate) const fn sent_status(code: u16) -> u16 {
    match code {
        494..=497 => 400,
        other => other,
    }
}

/// nginx's built-in page for a status: appends its title, heading and foot, and tells its parts' length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ErrorPage {
    title: &'static str,
    heading: &'static str,
    /// A second centred line, which the pages of nginx's own codes have.
    detail: Option<&'static str>,
    tokens: ServerTokens,
    code: u16,
    padded: bool,
}

const PADDING: &str = "<!-- a padding to disable MSIE and Chrome friendly error page -->\r\n";
const PADDING_LINES: usize = 6;

impl ErrorPage {
    /// The page for `code`, or `None` where nginx sends an empty body (201, 204, 304, unknown codes, …).
    pub(crate) const fn of(code: u16, tokens: ServerTokens) -> Option<ErrorPage> {
        let (title, detail) = match code {
            494 => ("400 Request Header Or Cookie Too Large", Some("Request Header Or Cookie Too Large")),
            495 => ("400 The SSL certificate error", Some("The SSL certificate error")),
            496 => ("400 No required SSL certificate was sent", Some("No required SSL certificate was sent")),
            497 => (
                "400 The plain HTTP request was sent to HTTPS port",
                Some("The plain HTTP request was sent to HTTPS port"),
            ),
            498 => ("404 Not Found", None),
            _ => match title(code) {
                Some(title) => (title, None),
                None => return None,
            },
        };
        let heading = if detail.is_some() { "400 Bad Request" } else { title };
        Some(ErrorPage { title, heading, detail, tokens, code, padded: false })
    }

    /// With the comment that nginx's `msie_padding on` adds for MSIE and Chrome on HTTP/1.0 and later,
    /// to errors only: redirects stay as they are.
    pub(crate) fn with_padding(self) -> ErrorPage {
        ErrorPage { padded: self.code >= 400, ..self }
    }

    /// Bytes that [`ErrorPage::append_to`] will add.
    pub(crate) fn len(&self) -> usize {
        let padding = if self.padded { PADDING.len() * PADDING_LINES } else { 0 };
        self.parts().iter().map(|part| part.len()).sum::<usize>() + padding
    }

    pub(crate) fn append_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.len());
        for part in self.parts() {
            out.extend_from_slice(part.as_bytes());
        }
        if self.padded {
            for _ in 0..PADDING_LINES {
                out.extend_from_slice(PADDING.as_bytes());
            }
        }
    }

    fn parts(&self) -> [&'static str; 11] {
        let detail = match self.detail {
            Some(detail) => ["<center>", detail, "</center>\r\n"],
            None => [""; 3],
        };
        [
            "<html>\r\n<head><title>",
            self.title,
            "</title></head>\r\n<body>\r\n<center><h1>",
            self.heading,
            "</h1></center>\r\n",
            detail[0],
            detail[1],
            detail[2],
            "<hr><center>",
            self.tokens.name(),
            "</center>\r\n</body>\r\n</html>\r\n",
        ]
    }
}

/// Page titles; a few are not the reason that the status line gives.
const fn title(code: u16) -> Option<&'static str> {
    match code {
        302 => Some("302 Found"),
        401 => Some("401 Authorization Required"),
        301 | 303 | 307 | 308 | 400..=429 | 500..=507 => status_line(code),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(code: u16, tokens: ServerTokens) -> String {
        let page = ErrorPage::of(code, tokens).expect("a page");
        let mut out = Vec::new();
        page.append_to(&mut out);
        assert_eq!(out.len(), page.len());
        String::from_utf8(out).expect("ASCII")
    }

    #[test]
    fn writes_the_usual_page() {
        assert_eq!(
            body(404, ServerTokens::On),
            "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n\
             <hr><center>nginx/1.28.3</center>\r\n</body>\r\n</html>\r\n"
        );
    }

    #[test]
    fn knows_the_pages_of_own_codes() {
        assert_eq!(
            body(497, ServerTokens::Off),
            "<html>\r\n<head><title>400 The plain HTTP request was sent to HTTPS port</title></head>\r\n<body>\r\n\
             <center><h1>400 Bad Request</h1></center>\r\n\
             <center>The plain HTTP request was sent to HTTPS port</center>\r\n\
             <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
        );
        assert!(body(401, ServerTokens::Off).contains("<h1>401 Authorization Required</h1>"));
        assert!(body(302, ServerTokens::Off).contains("<h1>302 Found</h1>"));
        assert!(body(498, ServerTokens::Off).contains("<h1>404 Not Found</h1>"));
        assert!(body(500, ServerTokens::Build).contains("<center>nginx/1.28.3 (rnginx/"));
    }

    #[test]
    fn has_no_page_where_nginx_has_none() {
        for code in [200, 201, 204, 206, 300, 304, 305, 407, 417, 426, 430, 444, 499, 506, 508, 999] {
            assert_eq!(ErrorPage::of(code, ServerTokens::On), None, "{code}");
        }
    }

    #[test]
    fn pads_for_old_browsers() {
        let page = ErrorPage::of(404, ServerTokens::Off).expect("a page");
        assert_eq!(page.with_padding().len(), page.len() + 6 * 67);
        let redirect = ErrorPage::of(301, ServerTokens::Off).expect("a page");
        assert_eq!(redirect.with_padding().len(), redirect.len());
    }

    #[test]
    fn says_own_codes_as_400() {
        assert_eq!([494, 495, 496, 497, 498, 499, 404].map(sent_status), [400, 400, 400, 400, 498, 499, 404]);
    }
}
