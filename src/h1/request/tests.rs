//! Request heads that nginx 1.28 was asked about, and random ones that must read alike in any pieces.

use super::*;

/// Reads `input` in pieces of `step` bytes.
fn read(input: &[u8], step: usize, limits: &HeadLimits) -> (Result<Parse, HeadError>, RequestHead) {
    let (mut parser, mut head) = (RequestParser::new(limits), RequestHead::new());
    let (mut begin, mut have) = (0, step.min(input.len()));
    loop {
        match parser.parse(&input[begin..have], limits, &mut head) {
            Ok(Parse::Host) => continue,
            Ok(Parse::Blank) => begin = have,
            Ok(Parse::Partial) => {}
            Ok(Parse::Done(consumed)) => return (Ok(Parse::Done(begin + consumed)), head),
            Err(error) => return (Err(error), head),
        }
        if have == input.len() {
            return (Ok(Parse::Partial), head);
        }
        have = (have + step).min(input.len());
    }
}

fn head(input: &str) -> RequestHead {
    let (parsed, head) = read(input.as_bytes(), input.len(), &HeadLimits::default());
    assert!(matches!(parsed, Ok(Parse::Done(_))), "{input:?}: {parsed:?}");
    head
}

/// The status and the sentence of a refusal.
fn refusal(input: &str) -> (u16, String) {
    let (parsed, _) = read(input.as_bytes(), input.len(), &HeadLimits::default());
    let error = parsed.expect_err(input);
    (error.fault.status(), error.to_string())
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn reads_a_request() {
    let head =
        head("GET /a/b.html?x=%201 HTTP/1.1\r\nHost: Shop.Example:8080\r\nX-A: 1\r\nconnection: Close\r\n\r\nrest");
    assert_eq!(text(head.request_line()), "GET /a/b.html?x=%201 HTTP/1.1");
    assert_eq!((head.method, text(head.method_name())), (Method::Get, "GET"));
    assert_eq!((head.version, text(head.protocol())), (Version::HTTP_11, "HTTP/1.1"));
    assert_eq!((text(head.target()), text(&head.uri), text(head.args())), ("/a/b.html?x=%201", "/a/b.html", "x=%201"));
    assert_eq!(head.extension(), Some(&b"html"[..]));
    assert_eq!(text(&head.host), "shop.example");
    assert_eq!((head.persistence, head.wants_keep_alive()), (Persistence::Close, false));
    assert_eq!(head.headers.get(HeaderId::Host), Some(&b"Shop.Example:8080"[..]));
    assert_eq!(head.headers.find(b"x-a"), Some(&b"1"[..]));
    assert_eq!((head.content_length, head.chunked, head.quoted_uri), (None, false, false));
    assert_eq!(head.length, 85);
}

#[test]
fn reads_odd_request_lines() {
    let line = |input: &str| {
        let head = head(input);
        (text(head.target()).to_string(), text(&head.uri).to_string(), text(head.args()).to_string())
    };
    let parts = |target: &str, uri: &str, args: &str| (target.to_string(), uri.to_string(), args.to_string());
    assert_eq!(line("\r\n\n\rGET / HTTP/1.0\n\n"), parts("/", "/", ""));
    assert_eq!(line("GET   /a  HTTP/1.0  \r\n\r\n"), parts("/a", "/a", ""));
    assert_eq!(line("GET /a//b/../c%20?d#e HTTP/1.0\r\n\r\n"), parts("/a//b/../c%20?d#e", "/a/c ", "d"));
    assert_eq!(line("GET http://H:1/p?q HTTP/1.0\r\n\r\n"), parts("/p?q", "/p", "q"));
    assert_eq!(line("GET http://h?q HTTP/1.0\r\n\r\n"), parts("?q", "/", "q"));
    assert_eq!(line("GET x://[::1] HTTP/1.0\r\n\r\n"), parts("/", "/", ""));
    assert_eq!(line("GET /\u{e9}\"<> HTTP/1.0\r\n\r\n"), parts("/é\"<>", "/é\"<>", ""));
    assert_eq!(line("GET /+.x HTTP/1.0\r\n\r\n"), parts("/+.x", "/+.x", ""));
    assert_eq!(head("BREW /p HTTP/1.9\r\nHost: h\r\n\r\n").method, Method::Unknown);
    assert_eq!(head("GET /p HTTP/1.012\r\nHost: h\r\n\r\n").version, Version::new(1, 12));
    assert!(head("GET http://h?q HTTP/1.0\r\n\r\n").empty_path);
    assert!(!head("GET http://h?q HTTP/1.0\r\n\r\n").has_valid_target());
    assert!(head("GET /a+b HTTP/1.0\r\n\r\n").plus_in_uri);
}

#[test]
fn reads_http_09() {
    let head = head("GET /a?b\r\nHost: ignored");
    assert_eq!((head.version, text(head.protocol()), text(&head.uri)), (Version::HTTP_09, "", "/a"));
    let (status, sentence) = refusal("POST /a\r\n");
    assert_eq!((status, sentence.as_str()), (400, "client sent invalid method in HTTP/0.9 request"));
}

#[test]
fn takes_the_host_of_the_target_first() {
    let head = head("GET http://A.b:80/ HTTP/1.1\r\nHost: c\r\n\r\n");
    assert_eq!((text(&head.host), head.headers.get(HeaderId::Host)), ("a.b", Some(&b"c"[..])));
}

#[test]
fn tells_the_host_once() {
    let (limits, mut head) = (HeadLimits::default(), RequestHead::new());
    let mut parser = RequestParser::new(&limits);
    let input = b"GET / HTTP/1.1\r\nHost: A\r\nX_Y: 1\r\n\r\n";
    assert_eq!(parser.parse(&input[..20], &limits, &mut head), Ok(Parse::Partial));
    assert_eq!(parser.parse(input, &limits, &mut head), Ok(Parse::Host));
    assert_eq!(head.host, b"a");
    let underscores = HeadLimits { underscores: true, ..limits };
    assert_eq!(parser.parse(input, &underscores, &mut head), Ok(Parse::Done(input.len())));
    assert_eq!(head.headers.find(b"x_y"), Some(&b"1"[..]));
}

#[test]
fn drops_lines_with_odd_names() {
    let input = "GET / HTTP/1.1\r\nHost: a\r\nX_Y: 1 \r\nX.Y: 2\r\nnothing\r\n\r\n";
    let dropped = head(input);
    let lines: Vec<_> = dropped.dropped().map(|(line, before)| (text(line), before)).collect();
    assert_eq!(lines, [("X_Y: 1", 1), ("X.Y: 2", 1)]);
    assert_eq!(dropped.headers.find(b"nothing"), Some(&b""[..]));
    let keep = HeadLimits { ignore_invalid: false, ..HeadLimits::default() };
    let (_, kept) = read(input.as_bytes(), 1, &keep);
    assert_eq!((kept.headers.len(), kept.dropped().count()), (4, 0));
}

#[test]
fn knows_bodies() {
    let with = |fields: &str| head(&format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
    assert_eq!(with("Content-Length: 0012\r\n").content_length, Some(12));
    assert!(with("transfer-encoding: Chunked\r\n").chunked);
    assert!(with("Expect: 100-Continue\r\n").expects_continue());
    assert!(!with("Expect: 100-continue, x\r\n").expects_continue());
    assert!(with("Connection: Upgrade, Keep-Alive\r\n").wants_keep_alive());
    assert!(!head("GET / HTTP/1.0\r\n\r\n").wants_keep_alive());
    assert!(head("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").wants_keep_alive());
    assert!(!head("GET / HTTP/1.0\r\nConnection: keep-alive\r\nConnection: x-close\r\n\r\n").wants_keep_alive());
}

#[test]
fn refuses_request_lines() {
    let invalid =
        |input: &str| assert_eq!(refusal(input), (400, "client sent invalid request".to_string()), "{input:?}");
    let method = |input: &str| assert_eq!(refusal(input), (400, "client sent invalid method".to_string()), "{input:?}");
    ["get", "GET\t", "G3T", " GET", "\u{16}\u{3}", "GET/ HTTP/1.1"].into_iter().for_each(method);
    [
        "OPTIONS *",
        "CONNECT h:80",
        "GET a/b HTTP/1.1",
        "GET http:/a HTTP/1.1",
        "GET http://a_b/ HTTP/1.1",
        "GET http://a:8a/ HTTP/1.1",
        "GET /\t HTTP/1.1",
        "GET /a\x7f HTTP/1.1",
        "GET / HTTP/1.1x",
        "GET / HTTP/0.9",
        "GET / HTTP/1.\r\n",
        "GET / HTTP/1.1000",
        "GET / HTCP/1.1",
        "GET / http/1.1",
        "GET / a HTTP/1.1",
        "GET / HTTP/1.1\r\r",
        "GET /.. HTTP/1.1\r\n",
        "GET /%zz HTTP/1.1\r\n",
        "GET /%00 HTTP/1.1\r\n",
    ]
    .into_iter()
    .for_each(invalid);
    assert_eq!(refusal("GET / HTTP/2.0").0, 505);
    assert_eq!(refusal("GET / HTTP/11.0").1, "client sent invalid version");
    assert_eq!(refusal("GET http:/// HTTP/1.0\r\n").1, "client sent invalid host in request line");
    assert_eq!(refusal("GET http://a..b/ HTTP/1.0\r\n").1, "client sent invalid host in request line");
}

#[test]
fn refuses_headers() {
    let with = |fields: &str| refusal(&format!("POST /p HTTP/1.1\r\n{fields}\r\n"));
    let said = |status: u16, sentence: &str| (status, sentence.to_string());
    let host = "Host: a\r\n";
    assert_eq!(with(""), said(400, "client sent HTTP/1.1 request without \"Host\" header"));
    assert_eq!(with("Host: a/b\r\n"), said(400, "client sent invalid host header"));
    assert_eq!(
        with("Host: a\r\nHOST: b\r\n"),
        said(400, "client sent duplicate host header: \"HOST: b\", previous value: \"Host: a\"")
    );
    assert_eq!(
        with("Host: a\r\nContent-Length: 1\r\nContent-length: 1\r\n"),
        said(400, "client sent duplicate header line: \"Content-length: 1\", previous value: \"Content-Length: 1\"")
    );
    assert_eq!(
        with(&format!("{host}Content-Length: +1\r\n")),
        said(400, "client sent invalid \"Content-Length\" header")
    );
    assert_eq!(
        with(&format!("{host}Transfer-Encoding: chunked\r\nContent-Length: 1\r\n")),
        said(400, "client sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time")
    );
    assert_eq!(
        with(&format!("{host}Transfer-Encoding: gzip, chunked\r\n")),
        said(501, "client sent unknown \"Transfer-Encoding\": \"gzip, chunked\"")
    );
    assert_eq!(with("Host : a\r\n"), said(400, "client sent invalid header line: \"Host\\x20...\""));
    assert_eq!(with("Host: a\0\r\n"), said(400, "client sent invalid header line: \"Host: a\\x00...\""));
    assert_eq!(with("Host: a\r\n b\r\n"), said(400, "client sent invalid header line: \"\\x20...\""));
    assert_eq!(
        refusal("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
        said(400, "client sent HTTP/1.0 request with \"Transfer-Encoding\" header")
    );
    assert_eq!(refusal("TRACE / HTTP/1.0\r\n\r\n"), said(405, "client sent TRACE method"));
    assert_eq!(refusal("CONNECT / HTTP/1.0\r\n\r\n"), said(405, "client sent CONNECT method"));
}

#[test]
fn keeps_what_is_known_of_a_refused_request() {
    let limits = HeadLimits::default();
    let (_, bad_line) = read(b"GET /a b\r\nHost: a\r\n\r\n", 100, &limits);
    assert_eq!((text(bad_line.request_line()), bad_line.method), ("GET /a b", Method::Get));
    let (_, bad_field) = read(b"\r\nHEAD /a HTTP/1.1\r\nUser-Agent: t\r\nX : y\r\n\r\n", 100, &limits);
    assert_eq!((text(bad_field.request_line()), text(&bad_field.uri)), ("HEAD /a HTTP/1.1", "/a"));
    assert_eq!((bad_field.headers.get(HeaderId::UserAgent), bad_field.length), (Some(&b"t"[..]), 33));
}

#[test]
fn refuses_at_the_same_byte_as_nginx() {
    let limits = HeadLimits::default();
    let result = |input: String| read(input.as_bytes(), input.len(), &limits).0.map_err(|error| error.fault);
    let line = |length: usize| format!("GET /{} HTTP/1.0\r\n", "a".repeat(length - 16));
    let partial = Ok(Parse::Partial);
    assert_eq!(result(line(8192)), partial);
    assert_eq!(result(line(8193)), Err(HeadFault::TooLongUri));
    assert_eq!(result(line(8193)[..8192].to_string()), Err(HeadFault::TooLongUri));
    assert_eq!(result(format!("\r\n\r\n{}", line(8192))), partial);
    assert_eq!(result("\r\n".repeat(6000) + &line(8192)), partial);
    assert_eq!(result("\r\n".repeat(6000) + &line(8193)), Err(HeadFault::TooLongUri));
    let field = |length: usize| format!("X: {}\r\n", "b".repeat(length - 5));
    assert_eq!(result(line(100) + &field(8192)), partial);
    assert_eq!(result(line(100) + &field(8193)), Err(HeadFault::TooLongHeaderLine));
    // One small buffer and four large ones, in each of which the last line does not fit.
    let many = |count: usize| line(1024) + &field(5000).repeat(count);
    assert_eq!(result(many(4)), partial);
    assert_eq!(result(many(5)), Err(HeadFault::TooLongHeaderLine));
    let none = HeadLimits { large_buffers: 0, ..limits };
    let (parsed, _) = read(line(1024).as_bytes(), 5000, &none);
    assert_eq!(parsed.map_err(|error| error.fault), Err(HeadFault::TooLargeRequest));
}

#[test]
fn forgets_empty_lines_for_ever() {
    let limits = HeadLimits::default();
    let input = [b"\r\n".repeat(5000), b"GET / HTTP/1.0\r\n\r\n".to_vec()].concat();
    for step in [1, 3, 1024] {
        let (parsed, head) = read(&input, step, &limits);
        assert_eq!((parsed, head.length), (Ok(Parse::Done(input.len())), 18));
    }
}

#[test]
fn reads_one_request_after_another() {
    let limits = HeadLimits::default();
    let (mut parser, mut head) = (RequestParser::new(&limits), RequestHead::new());
    let input = b"GET /a HTTP/1.0\r\n\r\nGET /b HTTP/1.0\r\n\r\n";
    let Ok(Parse::Done(first)) = parser.parse(input, &limits, &mut head) else { panic!("first") };
    assert_eq!((first, text(&head.uri), parser.has_begun()), (19, "/a", true));
    parser.next_request(&limits, Some(first));
    head.clear();
    assert!(!parser.has_begun());
    assert_eq!(parser.parse(&input[first..], &limits, &mut head), Ok(Parse::Done(19)));
    assert_eq!((text(&head.uri), text(head.request_line())), ("/b", "GET /b HTTP/1.0"));
}

/// A small generator of random numbers (xorshift), the same in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }
}

const SEEDS: [&str; 5] = [
    "GET /a/b.html?x=1 HTTP/1.1\r\nHost: Example.com:80\r\nUser-Agent: t\r\nAccept: */*\r\n\r\n",
    "GET http://[::1]:80/%41/../x+?y#z HTTP/1.1\r\nHost: a.b.\r\nConnection: keep-alive\r\n\r\n",
    "\r\nPOST /u HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX_y: \t z \r\n\r\n0\r\n\r\n",
    "HEAD http://h HTTP/1.0\r\nContent-Length: 10\r\nUpgrade-Insecure-Requests: 1\r\n\r\n",
    "GET /\n",
];

const PIECES: [&str; 24] = [
    "\r",
    "\n",
    "\r\n",
    "\0",
    "\t",
    " ",
    ":",
    "/",
    "?",
    "#",
    "%",
    ".",
    "..",
    "+",
    "_",
    "[",
    "]",
    "\x7f",
    "é",
    "%2e",
    "Host: b\r\n",
    "Content-Length: 5\r\n",
    "HTTP/1.1",
    "x:y\r\n",
];

fn mutated(random: &mut Random) -> Vec<u8> {
    let mut input = SEEDS[random.below(SEEDS.len())].as_bytes().to_vec();
    for _ in 0..random.below(5) {
        let at = random.below(input.len());
        match random.below(4) {
            0 => drop(input.splice(at..at, PIECES[random.below(PIECES.len())].bytes())),
            1 => drop(input.splice(at..at + 1, PIECES[random.below(PIECES.len())].bytes())),
            2 => input[at] = random.below(256) as u8,
            _ => drop(input.splice(at..at, b"ab.-".repeat(random.below(40)))),
        }
    }
    input
}

#[test]
fn pieces_do_not_matter() {
    let limits = HeadLimits { header_buffer: 64, large_buffers: 3, large_buffer: 96, ..HeadLimits::default() };
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut refused = 0;
    for _ in 0..4000 {
        let input = mutated(&mut random);
        let (whole, head) = read(&input, input.len(), &limits);
        for step in [1, 1 + random.below(30)] {
            let (parsed, pieced) = read(&input, step, &limits);
            let shown = String::from_utf8_lossy(&input);
            assert_eq!(parsed, whole, "{shown:?}");
            assert_eq!((&pieced.uri, &pieced.host, pieced.length), (&head.uri, &head.host, head.length), "{shown:?}");
            if parsed.is_ok_and(|parsed| matches!(parsed, Parse::Done(_))) {
                assert!(pieced.headers.iter().eq(head.headers.iter()), "{shown:?}");
                assert_eq!((pieced.target(), pieced.args()), (head.target(), head.args()), "{shown:?}");
            }
        }
        refused += usize::from(whole.is_err());
    }
    assert!((500..3900).contains(&refused), "{refused} of 4000 refused: the mutations are not of much use");
}
