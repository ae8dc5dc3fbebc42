//! What lives on over a reload where its parameters are the same, and what is read again.

use std::fs;
use std::net::{SocketAddr, TcpListener};

use crate::backend::Backend;
use crate::client::Client;
use crate::place::{Place, Running, eventually, free_port, open_files};

/// A nginx with a `server` block and what stands before it in `http`.
fn start(http: &str, server: &str) -> Running {
    let place = Place::new();
    configure(&place, http, server);
    place.start()
}

fn configure(place: &Place, http: &str, server: &str) {
    place.configure("", &format!("{http}\nserver {{ listen 127.0.0.1:{}; {server} }}", place.port));
}

#[test]
fn zones_of_limit_req_remember() {
    let server = "limit_req zone=one; root .;";
    let zone = |size: &str, key: &str| format!("limit_req_zone {key} zone=one:{size} rate=1r/m;");
    let nginx = start(&zone("1m", "$uri"), server);
    let status = || nginx.client().status("/a");
    assert_eq!((status(), status()), (404, 503));
    configure(&nginx.place, &format!("{} etag off;", zone("1m", "$uri")), server);
    nginx.reload();
    assert_eq!(status(), 503, "the same zone");
    configure(&nginx.place, &zone("1m", "$host"), server);
    assert_eq!(nginx.place.run(["-s", "reload"]).code, 1);
    let message = "limit_req \"one\" uses the \"$host\" key while previously it used the \"$uri\" key";
    assert!(nginx.place.log().contains(message), "{}", nginx.place.log());
    assert_eq!(status(), 503, "the old configuration serves on");
    configure(&nginx.place, &zone("2m", "$uri"), server);
    nginx.reload();
    assert_eq!(status(), 404, "another size makes another zone");
}

#[test]
fn zones_of_limit_conn_count_on() {
    let (http, server) = ("limit_conn_zone $server_port zone=one:1m;", "limit_conn one 1; root .;");
    let place = Place::new();
    fs::File::create(place.path("long")).unwrap().set_len(64 << 20).unwrap();
    let server = server.replace("root .", &format!("root {}", place.path("").display()));
    configure(&place, http, &server);
    let nginx = place.start();
    let mut download = nginx.client();
    download.send("/long");
    let length = download.receive_head();
    assert_eq!(nginx.client().status("/a"), 503);
    configure(&nginx.place, http, &format!("{server} etag off;"));
    nginx.reload();
    assert_eq!(nginx.client().status("/a"), 503, "the download counts, whatever it began with");
    download.receive_body(length);
    eventually("room", || (nginx.client().status("/a") == 404).then_some(()));
}

fn upstream(dead: u16, alive: SocketAddr, more: &str) -> String {
    format!("upstream u {{ server 127.0.0.1:{dead} max_fails=1 fail_timeout=1h; server {alive}; {more} }}")
}

#[test]
fn a_server_that_is_down_stays_aside() {
    let (dead, backend) = (free_port(), Backend::answering("alive"));
    let refused = |nginx: &Running| nginx.place.log().matches("connect() failed (111: Connection refused)").count();
    let nginx = start(&upstream(dead, backend.address, ""), "location / { proxy_pass http://u; }");
    let ask = || (0..4).for_each(|_| assert_eq!(nginx.answer(), "alive"));
    ask();
    assert_eq!(refused(&nginx), 1);
    configure(&nginx.place, &upstream(dead, backend.address, ""), "location / { proxy_pass http://u; etag off; }");
    nginx.reload();
    ask();
    assert_eq!(refused(&nginx), 1, "what is known of it is kept");
    configure(&nginx.place, &upstream(free_port(), backend.address, ""), "location / { proxy_pass http://u; }");
    nginx.reload();
    ask();
    assert_eq!(refused(&nginx), 2, "another server is tried");
}

#[test]
fn connections_to_backends_are_kept() {
    let backend = Backend::answering("kept");
    let http = format!("upstream u {{ server {}; keepalive 4; }}", backend.address);
    let pass = "proxy_pass http://u; proxy_http_version 1.1; proxy_set_header Connection '';";
    let nginx = start(&http, &format!("location / {{ {pass} }}"));
    for round in 0..5 {
        assert_eq!(nginx.answer(), "kept");
        configure(&nginx.place, &http, &format!("location / {{ {pass} add_header X-Round {round}; }}"));
        nginx.reload();
    }
    assert_eq!(backend.connections(), 1);
    // A pool of another size is another pool.
    configure(&nginx.place, &http.replace("keepalive 4", "keepalive 5"), &format!("location / {{ {pass} }}"));
    nginx.reload();
    assert_eq!(nginx.answer(), "kept");
    assert_eq!(backend.connections(), 2);
    // And what waits in a pool that is no more goes.
    let descriptors = || open_files(nginx.worker()).len();
    let before = descriptors();
    for size in 6..16 {
        configure(
            &nginx.place,
            &http.replace("keepalive 4", &format!("keepalive {size}")),
            &format!("location / {{ {pass} }}"),
        );
        nginx.reload();
        assert_eq!(nginx.answer(), "kept");
    }
    eventually("no more descriptors than before", || (descriptors() <= before).then_some(()));
}

#[test]
fn types_and_included_files_are_read_again() {
    let place = Place::new();
    place.write("page.abc", "page");
    place.write("types", "types { text/one abc; }");
    place.write("answer", "location = /answer { return 200 before; }");
    let root = place.path("").display().to_string();
    configure(&place, "include types;", &format!("root {root}; include answer;"));
    let nginx = place.start();
    let head = |path: &str| {
        let mut client = nginx.client();
        client.send(path);
        client.receive_lines()
    };
    assert!(head("/page.abc").contains("Content-Type: text/one\r\n"));
    nginx.place.write("types", "types { text/two abc; }");
    nginx.place.write("answer", "location = /answer { return 200 after; }");
    assert!(head("/page.abc").contains("Content-Type: text/one\r\n"), "not before it is told to");
    assert_eq!(nginx.client().get("/answer"), "before");
    nginx.reload();
    assert!(head("/page.abc").contains("Content-Type: text/two\r\n"));
    assert_eq!(nginx.client().get("/answer"), "after");
}

#[test]
fn names_and_passwords_change_without_a_reload() {
    let place = Place::new();
    place.write("htpasswd", "ann:{PLAIN}one\n");
    let file = place.path("htpasswd").display().to_string();
    configure(&place, "", &format!("auth_basic a; auth_basic_user_file {file}; root .;"));
    let nginx = place.start();
    let status = |credentials| {
        let mut client = nginx.client();
        client.send_with("/a", &format!("Authorization: Basic {credentials}\r\n"));
        client.receive_status().0
    };
    // ann:one and ann:two
    let (one, two) = ("YW5uOm9uZQ==", "YW5uOnR3bw==");
    assert_eq!((status(one), status(two)), (404, 401));
    nginx.place.write("htpasswd", "ann:{PLAIN}two\n");
    assert_eq!((status(one), status(two)), (401, 404));
}

#[test]
fn a_port_that_others_hold_is_nginx_error_and_all_else_stays() {
    let nginx = start("", "return 200 one;");
    let (held, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), free_port());
    let taken = held.local_addr().unwrap();
    configure(&nginx.place, &format!("server {{ listen 127.0.0.1:{other}; listen {taken}; }}"), "return 200 two;");
    assert_eq!(nginx.place.run(["-s", "reload"]).code, 1);
    let bind = format!("[emerg] bind() to {taken} failed (98: Address already in use)");
    assert_eq!(nginx.place.messages().iter().filter(|message| **message == bind).count(), 5);
    assert!(nginx.place.log().contains("still could not bind()"));
    assert!(Client::try_connect(other).is_err(), "what could be opened is closed again");
    assert_eq!(nginx.answer(), "one");
    drop(held);
    assert_eq!(nginx.place.run(["-s", "reload"]).code, 0);
    assert_eq!(nginx.answer(), "two");
}
