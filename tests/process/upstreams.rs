//! Backends that are not there, do not answer, die, or never end: what clients get, and what the log says.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use crate::backend::{Backend, read_head};
use crate::client::Client;
use crate::faults::memory;
use crate::place::{AT_ONCE, Place, Running, eventually, free_port, is_root};

fn passing_to(place: Place, upstream: &str, more: &str) -> Running {
    let port = place.port;
    place.configure(
        "",
        &format!("server {{ listen 127.0.0.1:{port}; {more} location / {{ proxy_pass http://{upstream}; }} }}"),
    );
    place.start()
}

/// Asks once: 502 at once, and this line in the log, with what nginx says of the request.
fn assert_bad_gateway(nginx: &Running, level: &str, said: &str, upstream: &str) {
    let asked = Instant::now();
    assert_eq!(nginx.client().status("/path?a=b"), 502);
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
    let context = format!(
        "client: 127.0.0.1, server: , request: \"GET /path?a=b HTTP/1.1\", upstream: \"http://{upstream}/path?a=b\", \
         host: \"a\""
    );
    let log = nginx.place.log();
    let line = log.lines().last().unwrap();
    assert!(line.contains(&format!(" [{level}] ")) && line.ends_with(&format!("{said}, {context}")), "{line}");
}

#[test]
fn a_socket_that_is_missing_refuses_or_forbids_is_502_at_once() {
    let place = Place::new();
    let path = place.path("backend.sock");
    let socket = path.display().to_string();
    let nginx = passing_to(place, &format!("unix:{socket}"), "");
    let while_connecting =
        |reason: &str| format!("connect() to unix:{socket} failed ({reason}) while connecting to upstream");
    let upstream = format!("unix:{socket}:");
    assert_bad_gateway(&nginx, "crit", &while_connecting("2: No such file or directory"), &upstream);
    // Its process ended and left the file.
    let listener = UnixListener::bind(&path).unwrap();
    fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    let answering = || {
        let (mut stream, _) = listener.accept().unwrap();
        assert_ne!(stream.read(&mut [0; 4096]).unwrap(), 0);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nup").unwrap();
    };
    let mut client = nginx.client();
    client.send("/");
    answering();
    assert_eq!(client.receive(), "up", "it is asked again as soon as it is there");
    if is_root() {
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert_bad_gateway(&nginx, "crit", &while_connecting("13: Permission denied"), &upstream);
        fs::set_permissions(&path, PermissionsExt::from_mode(0o666)).unwrap();
    }
    drop(listener);
    assert_bad_gateway(&nginx, "error", &while_connecting("111: Connection refused"), &upstream);
}

#[test]
fn a_port_that_refuses_is_502_at_once() {
    let port = free_port();
    let nginx = passing_to(Place::new(), &format!("127.0.0.1:{port}"), "");
    let said = "connect() failed (111: Connection refused) while connecting to upstream";
    assert_bad_gateway(&nginx, "error", said, &format!("127.0.0.1:{port}"));
}

#[test]
fn a_backend_that_dies_before_its_answer_is_502() {
    let backend = Backend::start(|mut stream| read_head(&mut stream).map(drop));
    let nginx = passing_to(Place::new(), &backend.address.to_string(), "");
    let said = "upstream prematurely closed connection while reading response header from upstream";
    assert_bad_gateway(&nginx, "error", said, &backend.address.to_string());
}

#[test]
fn an_answer_that_breaks_off_is_cut_off_for_its_client_too() {
    let backend = Backend::start(|mut stream| {
        read_head(&mut stream)?;
        write!(stream.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
    });
    let nginx = passing_to(Place::new(), &backend.address.to_string(), "");
    let mut client = nginx.client();
    client.send("/");
    assert_eq!(client.receive_status(), (200, 100));
    assert_eq!(client.receive_rest(), 4, "what came came, and no more");
    nginx.place.wait_for_message("[error] ");
    let said = "upstream prematurely closed connection while reading upstream, client: 127.0.0.1, server: , request: ";
    assert!(nginx.place.log().contains(said), "{}", nginx.place.log());
}

#[test]
fn a_backend_that_sleeps_is_504_or_is_cut_off() {
    let backend = Backend::start(|mut stream| {
        let head = read_head(&mut stream)?.unwrap_or_default();
        if head.contains("/half") {
            write!(stream.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")?;
        }
        stream.read(&mut [0]).map(drop)
    });
    let nginx = passing_to(Place::new(), &backend.address.to_string(), "proxy_read_timeout 200ms;");
    assert_eq!(nginx.client().status("/"), 504);
    let timed_out = "upstream timed out (110: Connection timed out) while reading";
    assert!(nginx.place.log().contains(&format!("{timed_out} response header from upstream, client: ")));
    let mut client = nginx.client();
    client.send("/half");
    assert_eq!(client.receive_status(), (200, 100));
    assert_eq!(client.receive_rest(), 0, "what has not filled a buffer is not passed on");
    nginx.place.wait_for_message(&format!("{timed_out} upstream, client: "));
}

/// What an answer without end may cost while its client takes little of it: KiB of memory, and bytes on the disk.
const COST: u64 = 5 << 10;
const SPILLED: u64 = 1 << 20;

#[test]
fn an_answer_without_end_costs_no_more_than_its_file() {
    let backend = Backend::start(|mut stream| {
        read_head(&mut stream)?;
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
        loop {
            stream.get_mut().write_all(&[b'x'; 1 << 16])?;
        }
    });
    let limits = "proxy_max_temp_file_size 1m; proxy_temp_file_write_size 64k;";
    let nginx = passing_to(Place::new(), &backend.address.to_string(), limits);
    let mut client = nginx.client();
    client.send("/");
    client.receive_lines();
    let worker = nginx.worker();
    let before = memory(worker);
    let spilled = || -> u64 {
        let open = fs::read_dir(format!("/proc/{worker}/fd")).unwrap().flatten();
        let files =
            open.filter(|fd| fs::read_link(fd.path()).is_ok_and(|path| path.to_string_lossy().contains("/temp/")));
        files.filter_map(|fd| fs::metadata(fd.path()).ok()).map(|file| file.len()).sum()
    };
    eventually("a full file", || (spilled() >= SPILLED / 2).then_some(()));
    for _ in 0..200 {
        client.receive_body(64 << 10);
        assert!(spilled() <= SPILLED + (64 << 10), "{}", spilled());
    }
    let cost = memory(worker).saturating_sub(before);
    assert!(cost < COST, "{cost} KiB");
}

/// Clients that send no whole head, and how long they may.
const SLOW: usize = 500;
const TIMEOUT: Duration = Duration::from_secs(3);

#[test]
fn clients_that_never_end_their_heads_are_ended_and_hinder_nobody() {
    let place = Place::new();
    let server = format!("listen 127.0.0.1:{} backlog=1024; client_header_timeout 3s; return 200 one;", place.port);
    let text = crate::place::configuration("worker_rlimit_nofile 3000;", &format!("server {{ {server} }}"));
    place.write("nginx.conf", &text.replace("events { }", "events { worker_connections 2000; }"));
    let nginx = place.start();
    let mut slow: Vec<_> = (0..SLOW).map(|_| nginx.client()).collect();
    let began = Instant::now();
    slow.iter_mut().for_each(|client| client.send_raw(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "));
    let asked = Instant::now();
    assert_eq!(nginx.answer(), "one");
    assert!(asked.elapsed() < TIMEOUT / 2, "{:?}", asked.elapsed());
    slow.iter_mut().for_each(|client| assert!(client.is_closed()));
    let ended = began.elapsed();
    assert!(ended >= TIMEOUT && ended < TIMEOUT * 4, "{ended:?}");
    let is_timed_out = |line: &&str| line.contains("\"GET / HTTP/1.1\" 408 0 ");
    eventually("their lines", || {
        (nginx.place.read("access.log").lines().filter(is_timed_out).count() == SLOW).then_some(())
    });
}

/// Kept apart from the others: a disk that is full under a proxied answer.
#[test]
fn a_full_disk_cuts_off_what_does_not_fit() {
    if !is_root() {
        return;
    }
    const BODY: usize = 4 << 20;
    let backend = Backend::start(|mut stream| {
        read_head(&mut stream)?;
        write!(stream.get_mut(), "HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n")?;
        stream.get_mut().write_all(&vec![b'x'; BODY])
    });
    let place = Place::new();
    let _disk = crate::faults::Tmpfs::mount(place.path("disk"), "256k");
    let port = place.port;
    let server = format!("listen 127.0.0.1:{port} sndbuf=32k; proxy_temp_path disk/proxy; output_buffers 1 32k;");
    let location =
        format!("location / {{ proxy_pass http://{}; }} location = /fine {{ return 200 fine; }}", backend.address);
    let text = crate::place::configuration("user root;", &format!("server {{ {server} {location} }}"));
    place.write("nginx.conf", &text.replace("proxy_temp_path temp;\n", ""));
    let nginx = place.start();
    let mut client = Client::connect(port);
    client.send("/");
    assert_eq!(client.receive_status(), (200, BODY));
    nginx.place.wait_for_message("[crit] ");
    let log = nginx.place.log();
    let line = log.lines().find(|line| line.contains("[crit]")).unwrap();
    let said = "failed (28: No space left on device) while reading upstream, client: ";
    assert!(line.contains("disk/proxy/") && line.contains(said), "{line}");
    assert!(client.receive_rest() < BODY);
    assert_eq!(nginx.client().get("/fine"), "fine");
}
