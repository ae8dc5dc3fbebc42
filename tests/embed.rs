//! The library as another program uses it: a site from a text, from a file, and the example that mounts one.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full};
use rnginx::Site;
use tower::ServiceExt;

const SITE: &str = r#"
server {
    server_name one.test;
    location = /hello { default_type text/plain; return 200 "hello from $host"; }
    location /files/ { alias DIR/; }
    location = /away { return 301 /hello; }
}
server { server_name two.test; location / { return 200 "two"; } }
"#;

async fn ask(site: &Site, host: &str, path: &str) -> (u16, http::HeaderMap, Bytes) {
    let request = http::Request::get(path).header("host", host).body(Empty::<Bytes>::new()).expect("a request");
    let response = site.clone().oneshot(request).await.expect("infallible");
    let (parts, body) = response.into_parts();
    (parts.status.as_u16(), parts.headers, body.collect().await.expect("a whole body").to_bytes())
}

#[tokio::test]
async fn answers_as_the_configuration_says() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("a.txt"), "x".repeat(100_000)).expect("a file");
    let site = Site::from_text(&SITE.replace("DIR", &folder.path().to_string_lossy())).expect("a site");

    let (status, headers, body) = ask(&site, "one.test", "/hello").await;
    assert_eq!((status, &body[..]), (200, &b"hello from one.test"[..]));
    assert_eq!(headers["content-type"], "text/plain");
    assert_eq!(headers["server"], "nginx/1.28.3");

    let (status, _, body) = ask(&site, "two.test", "/hello").await;
    assert_eq!((status, &body[..]), (200, &b"two"[..]));

    let (status, headers, body) = ask(&site, "one.test", "/files/a.txt").await;
    assert_eq!((status, body.len()), (200, 100_000));
    assert_eq!(headers["content-length"], "100000");

    let (status, headers, _) = ask(&site, "one.test", "/away").await;
    assert_eq!(status, 301);
    assert_eq!(headers["location"], "http://one.test/hello");

    let (status, _, _) = ask(&site, "one.test", "/missing").await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn many_requests_at_once() {
    let site = Site::from_text(r#"location / { return 200 "$arg_n"; }"#).expect("a site");
    let ask = |n: usize| {
        let site = site.clone();
        async move {
            let request =
                http::Request::post(format!("/?n={n}")).body(Full::new(Bytes::from("body"))).expect("a request");
            let body = site.oneshot(request).await.expect("infallible").into_body();
            (n, body.collect().await.expect("a whole body").to_bytes())
        }
    };
    let tasks: Vec<_> = (0..200).map(|n| tokio::spawn(ask(n))).collect();
    for task in tasks {
        let (n, body) = task.await.expect("no panic");
        assert_eq!(body, n.to_string());
    }
}

#[test]
fn a_broken_configuration_is_explained() {
    let error = Site::from_text("server {\n  lisen 80;\n}\n").expect_err("a typing mistake");
    let text = error.to_string();
    assert!(text.contains("unknown directive \"lisen\" in ") && text.ends_with("site.conf:2"), "{text}");
}

#[test]
fn the_example_serves_the_shops_site_file() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("static")).expect("a folder");
    std::fs::write(folder.path().join("static/shop.css"), "body { color: teal }").expect("a file");
    let conf = folder.path().join("my_shop.conf");
    let text = format!("location /static/ {{ alias {}/static/; }}\n", folder.path().display());
    std::fs::write(&conf, text).expect("a file");

    let built =
        Command::new(env!("CARGO")).args(["build", "--quiet", "--example", "embed"]).status().expect("cargo runs");
    assert!(built.success());
    let example = std::path::Path::new(env!("CARGO_BIN_EXE_rnginx")).with_file_name("examples").join("embed");
    let mut program = Command::new(example);
    let mut program = program.arg(&conf).arg("127.0.0.1:0").stdout(Stdio::piped()).spawn().expect("the example runs");
    let mut line = String::new();
    BufReader::new(program.stdout.take().expect("a pipe")).read_line(&mut line).expect("a line");
    let address =
        line.rsplit_once("http://").and_then(|(_, rest)| rest.split('/').next()).expect("an address").to_owned();

    let answers = ["/static/shop.css", "/about"].map(|path| {
        let mut stream = TcpStream::connect(&address).expect("it listens");
        write!(stream, "GET {path} HTTP/1.1\r\nHost: shop.test\r\nConnection: close\r\n\r\n").expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    });
    program.kill().expect("it was running");
    program.wait().expect("it ends");
    assert!(answers[0].starts_with("HTTP/1.1 200") && answers[0].ends_with("body { color: teal }"), "{}", answers[0]);
    assert!(answers[1].ends_with("the rest is the site's.\n"), "{}", answers[1]);
}
