//! Load of all kinds with sixty reloads: memory and descriptors end where they were. It takes some seconds;
//! `RNGINX_SOAK=300` makes it five minutes.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::backend::Backend;
use crate::client::Client;
use crate::faults::memory;
use crate::load::Load;
use crate::place::{Place, Running, eventually, open_files};

/// Reloads, and how many of them come before the first look.
const RELOADS: u32 = 60;
const BEFORE: u32 = 12;

/// How many seconds it takes where nobody says.
const SECONDS: u64 = 9;

/// What comes back within so many hundredths; a page of memory more or less is no leak.
const PERCENT: u64 = 5;
const SLACK: u64 = 512;

/// Paths that are answered with 200 whatever happens.
const PATHS: [&str; 6] = ["/text", "/page", "/app", "/packed", "/cached", "/limited"];

fn configure(place: &Place, backend: &Backend, round: u32) {
    let (port, backend) = (place.port, backend.address);
    let root = place.path("").display().to_string();
    let http = format!(
        "keepalive_requests 1000000; client_body_buffer_size 8k; client_max_body_size 2m;\n\
         proxy_cache_path {root}/cache keys_zone=cache:1m;\n\
         limit_req_zone $binary_remote_addr zone=limit:1m rate=100000r/s;\n\
         map $uri $round {{ default round-{round}; ~^/(?<name>packed) $name; }}\n\
         upstream app {{ zone app 64k; server {backend}; keepalive 8; }}\n\
         server {{ listen 127.0.0.1:{port}; root {root}; proxy_http_version 1.1; proxy_set_header Connection '';\n\
           location = /text {{ return 200 $round; }}\n\
           location = /app {{ proxy_pass http://app; }}\n\
           location = /upload {{ proxy_pass http://app; }}\n\
           location = /packed {{ gzip on; gzip_http_version 1.0; gzip_min_length 1; proxy_pass http://app; add_header X-Round $round; }}\n\
           location = /cached {{ proxy_cache cache; proxy_cache_valid 1s; proxy_pass http://app; }}\n\
           location = /limited {{ limit_req zone=limit burst=100 nodelay; proxy_pass http://app; }}\n\
         }}"
    );
    place.configure("", &http);
}

/// What a load of good clients leaves out: uploads, files that are not there, clients that go in the middle.
fn mischief(stop: &AtomicBool, port: u16) {
    let body = "x".repeat(100 << 10);
    while !stop.load(Ordering::Relaxed) {
        let mut client = Client::connect(port);
        client.send_raw(
            format!("POST /upload HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()).as_bytes(),
        );
        assert_eq!(client.receive(), "app");
        assert_eq!(client.status("/missing"), 404);
        client.send("/long");
        client.receive_head();
        drop(client);
        for part in ["", "GET / HT", "GET /app HTTP/1.1\r\nHost: a\r\n\r\n", "nonsense\r\n\r\n"] {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
            stream.write_all(part.as_bytes()).unwrap();
            stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
            let _ = stream.read(&mut [0; 16]);
        }
    }
}

/// Loads it for a while with reloads in between; nobody is dropped.
fn soak(nginx: &Running, backend: &Backend, reloads: std::ops::Range<u32>, time: Duration) {
    let stop = Arc::new(AtomicBool::new(false));
    let (until_stopped, port) = (stop.clone(), nginx.place.port);
    let mischief = std::thread::spawn(move || mischief(&until_stopped, port));
    let load = Load::start(port, 12, &PATHS);
    let pause = time / (reloads.end - reloads.start);
    for round in reloads {
        let next = Instant::now() + pause;
        configure(&nginx.place, backend, round);
        let said = nginx.place.run(["-s", "reload"]);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""));
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    stop.store(true, Ordering::Relaxed);
    let tally = load.end();
    mischief.join().unwrap();
    assert!(tally.lost.is_empty() && tally.unanswered.is_empty(), "{tally:?}");
}

/// Memory in KiB and descriptors, of master and worker, when everybody has gone.
fn rest(nginx: &Running) -> [(u64, usize); 2] {
    let connections = |pid| open_files(pid).iter().filter(|name| name.starts_with("socket:")).count();
    let (master, worker) = (nginx.master(), nginx.worker());
    let mut least = usize::MAX;
    // Kept connections to the backend may stay; clients' go.
    eventually("an end to connections", || {
        let now = connections(worker);
        let settled = now >= least;
        least = least.min(now);
        std::thread::sleep(Duration::from_millis(100));
        settled.then_some(())
    });
    [master, worker].map(|pid| (memory(pid), open_files(pid).len()))
}

#[test]
fn memory_and_descriptors_come_back() {
    let seconds = std::env::var("RNGINX_SOAK").map_or(SECONDS, |text| text.parse().unwrap());
    let place = Place::new();
    place.write("page", &"page ".repeat(20 << 10));
    std::fs::File::create(place.path("long")).unwrap().set_len(64 << 20).unwrap();
    let backend = Backend::answering("app");
    configure(&place, &backend, 0);
    let nginx = place.start();
    let worker = nginx.worker();
    let reload = Duration::from_secs(seconds) / RELOADS;
    soak(&nginx, &backend, 0..BEFORE, reload * BEFORE);
    let before = rest(&nginx);
    soak(&nginx, &backend, BEFORE..RELOADS, reload * (RELOADS - BEFORE));
    let after = rest(&nginx);
    eprintln!("memory in KiB and descriptors of master and worker: {before:?} at first, {after:?} after {seconds} s");
    for ((memory_before, files_before), (memory_after, files_after)) in before.into_iter().zip(after) {
        let most = memory_before * (100 + PERCENT) / 100 + SLACK;
        assert!(memory_after <= most, "{before:?} {after:?}");
        assert!(files_after <= files_before + files_before / 20 + 1, "{before:?} {after:?}");
    }
    assert_eq!(nginx.worker(), worker, "the same worker all the time");
    let grave = |message: &&String| ["[alert]", "[crit]", "[emerg]"].iter().any(|level| message.starts_with(level));
    let messages = nginx.place.messages();
    assert_eq!(messages.iter().find(grave), None);
}
