//! HTTP/2 in the clear: the same site answers a client with prior knowledge as it answers HTTP/1.

#[path = "h2/floods.rs"]
mod floods;
#[path = "h2/leaving.rs"]
mod leaving;

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tempfile::TempDir;
use tokio::net::TcpStream;

const SITE: &str = r#"
daemon off; pid nginx.pid; worker_processes 2; error_log error.log info; USER
events { worker_connections 1024; }
http {
    types { text/plain txt; }
    access_log access.log combined;
    client_max_body_size 1m; send_timeout 3s; keepalive_requests 1000000;
    server {
        listen ADDRESS; http2 on; server_name a.test; root DIR/www;
        location = /said { return 200 "$request_method $request_uri $host $http_host $server_protocol $arg_x [$http_cookie]"; }
        location = /away { return 302 /said; }
        location = /closed { return 444; }
        location = /taken { proxy_pass http://ADDRESS/said; }
        location /ends/ { proxy_pass http://127.0.0.1:$arg_port; }
        location /goes-on/ { proxy_ignore_client_abort on; proxy_pass http://127.0.0.1:$arg_port; }
        location /stalled/ { alias DIR/www/; }
        location = /paced.txt { limit_rate 1m; alias DIR/www/large.txt; }
    }
    server { listen ADDRESS; server_name b.test; http2 on; location / { return 200 "b"; } }
    server { listen ADDRESS; server_name c.test; location / { return 200 "c"; } }
}
"#;

struct Server {
    process: Child,
    address: SocketAddr,
    folder: TempDir,
}

impl Server {
    async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("www")).expect("a folder");
        std::fs::write(folder.path().join("www/small.txt"), "small\n").expect("a file");
        std::fs::write(folder.path().join("www/large.txt"), "0123456789".repeat(200_000)).expect("a file");
        let address = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
        let user = if rustix::process::geteuid().is_root() { "user root;" } else { "" };
        let conf = SITE.replace("ADDRESS", &address.to_string()).replace("DIR", &folder.path().to_string_lossy());
        std::fs::write(folder.path().join("nginx.conf"), conf.replace("USER", user)).expect("a file");
        let mut prefix = folder.path().as_os_str().to_owned();
        prefix.push("/");
        let process = Command::new(env!("CARGO_BIN_EXE_rnginx"))
            .arg("-p")
            .arg(prefix)
            .args(["-c", "nginx.conf", "-e", "error.log"])
            .stdin(Stdio::null())
            .spawn()
            .expect("the server starts");
        let server = Self { process, address, folder };
        for _ in 0..500 {
            if TcpStream::connect(address).await.is_ok() {
                return server;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the server does not listen");
    }

    async fn h2(&self) -> http2::SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.expect("a handshake");
        tokio::spawn(connection);
        sender
    }

    async fn h1(&self) -> http1::SendRequest<Full<Bytes>> {
        let stream = TcpStream::connect(self.address).await.expect("it listens");
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.expect("a handshake");
        tokio::spawn(connection);
        sender
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.process.wait();
    }
}

fn request(method: &str, host: &str, path: &str, body: &'static str) -> http::Request<Full<Bytes>> {
    let builder = http::Request::builder().method(method).uri(format!("http://{host}{path}"));
    builder.body(Full::new(Bytes::from_static(body.as_bytes()))).expect("a request")
}

async fn read(response: http::Response<hyper::body::Incoming>) -> (u16, http::HeaderMap, Bytes) {
    let (parts, body) = response.into_parts();
    (parts.status.as_u16(), parts.headers, body.collect().await.expect("a whole body").to_bytes())
}

#[tokio::test]
async fn answers_as_over_http_1() {
    let server = Server::start().await;
    let (mut h2, mut h1) = (server.h2().await, server.h1().await);
    for path in ["/small.txt", "/large.txt", "/missing", "/away"] {
        let (status, headers, body) =
            read(h2.send_request(request("GET", "a.test", path, "")).await.expect("an answer")).await;
        let mut plain = request("GET", "a.test", path, "");
        plain.headers_mut().insert("host", http::HeaderValue::from_static("a.test"));
        *plain.uri_mut() = path.parse().expect("a path");
        let (status1, headers1, body1) = read(h1.send_request(plain).await.expect("an answer")).await;
        assert_eq!((status, &body), (status1, &body1), "{path}");
        let named = |headers: &http::HeaderMap| headers.keys().map(ToString::to_string).collect::<Vec<_>>();
        let names = |headers: &http::HeaderMap| {
            named(headers).into_iter().filter(|name| name != "connection").collect::<Vec<_>>()
        };
        assert_eq!(names(&headers), names(&headers1), "{path}");
        assert_eq!(headers.get("etag"), headers1.get("etag"), "{path}");
    }
}

#[tokio::test]
async fn sees_what_the_client_sent() {
    let server = Server::start().await;
    let mut h2 = server.h2().await;
    let mut asked = request("POST", "a.test", "/said?x=1", "a body");
    asked.headers_mut().append("cookie", http::HeaderValue::from_static("a=1"));
    asked.headers_mut().append("cookie", http::HeaderValue::from_static("b=2"));
    let (status, _, body) = read(h2.send_request(asked).await.expect("an answer")).await;
    assert_eq!((status, &body[..]), (200, &b"POST /said?x=1 a.test a.test HTTP/2.0 1 [a=1; b=2]"[..]));
    let (_, _, body) = read(h2.send_request(request("GET", "b.test", "/", "")).await.expect("an answer")).await;
    assert_eq!(body, "b");
    let (status, ..) = read(h2.send_request(request("GET", "c.test", "/", "")).await.expect("an answer")).await;
    assert_eq!(status, 421, "a server that does not speak HTTP/2");
    let (status, headers, body) =
        read(h2.send_request(request("HEAD", "a.test", "/small.txt", "")).await.expect("an answer")).await;
    assert_eq!((status, &headers["content-length"], body.len()), (200, &http::HeaderValue::from_static("6"), 0));
    assert!(h2.send_request(request("GET", "a.test", "/closed", "")).await.is_err(), "444 resets the stream");
}

#[tokio::test]
async fn keeps_the_pace() {
    let server = Server::start().await;
    let mut h2 = server.h2().await;
    let start = std::time::Instant::now();
    let (status, _, body) =
        read(h2.send_request(request("GET", "a.test", "/paced.txt", "")).await.expect("an answer")).await;
    assert_eq!((status, body.len()), (200, 2_000_000));
    // Of two megabytes the first may go at once.
    assert!(start.elapsed() >= Duration::from_millis(800), "{:?}", start.elapsed());
}

#[tokio::test]
async fn many_streams_and_one_log_line_each() {
    let server = Server::start().await;
    let h2 = server.h2().await;
    let tasks: Vec<_> = (0..100)
        .map(|number| {
            let mut h2 = h2.clone();
            let path = if number % 2 == 0 { "/large.txt" } else { "/small.txt" };
            tokio::spawn(async move {
                read(h2.send_request(request("GET", "a.test", path, "")).await.expect("an answer")).await
            })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        let (status, _, body) = task.await.expect("no panic");
        assert_eq!((status, body.len()), (200, if number % 2 == 0 { 2_000_000 } else { 6 }));
    }
    let log = std::fs::read_to_string(server.folder.path().join("access.log")).expect("a log");
    assert_eq!(log.lines().filter(|line| line.contains("HTTP/2.0\" 200 ")).count(), 100, "{log}");
}
