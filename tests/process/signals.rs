//! Signals: <https://nginx.org/en/docs/control.html>, and workers that die.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::place::{
    AT_ONCE, NOBODY, Place, Running, accept, eventually, is_alive, is_root, kill, open_files, wait_for_end,
};

#[test]
fn a_killed_worker_is_replaced_at_once() {
    let place = Place::new();
    place.answering("one");
    let nginx = place.start();
    let worker = nginx.worker();
    let killed = Instant::now();
    kill(worker, libc::SIGKILL);
    let mut client = nginx.client();
    assert_eq!(client.get("/"), "one");
    assert!(killed.elapsed() < AT_ONCE);
    assert_ne!(nginx.worker(), worker);
    nginx
        .place
        .wait_for_message(&format!("[alert] {0}#{0}: worker process {worker} exited on signal 9", nginx.master()));
}

#[test]
fn signals_that_tell_of_faults_end_a_worker_whoever_sends_them() {
    let place = Place::new();
    place.answering("one");
    let nginx = place.start();
    for signal in [libc::SIGSEGV, libc::SIGBUS, libc::SIGABRT, libc::SIGFPE] {
        let worker = nginx.worker();
        kill(worker, signal);
        let said = format!("[alert] {0}#{0}: worker process {worker} exited on signal {signal}", nginx.master());
        nginx.place.wait_for_message(&said);
        assert_eq!(nginx.answer(), "one");
    }
}

#[test]
fn the_command_line_sends_them() {
    let place = Place::new();
    place.answering("one");
    let nginx = place.start();
    for (order, message) in [("reopen", ", reopening logs"), ("reload", ", reconfiguring"), ("quit", ", shutting down")]
    {
        let said = nginx.place.run(["-s", order]);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""));
        nginx.place.wait_for_message(message);
    }
    eventually("the end", || (!nginx.place.path("nginx.pid").exists()).then_some(()));
}

#[test]
fn usr1_opens_all_logs_again_within_a_second() {
    let place = Place::new();
    place.answering("one");
    let nginx = place.start();
    for name in ["access.log", "error.log"] {
        fs::rename(nginx.place.path(name), nginx.place.path(&format!("{name}.1"))).unwrap();
    }
    let asked = Instant::now();
    nginx.signal(libc::SIGUSR1);
    let writes_to_old_ones = |pid| open_files(pid).iter().any(|name| name.ends_with(".log.1"));
    eventually("new logs", || {
        (!writes_to_old_ones(nginx.master()) && !writes_to_old_ones(nginx.worker())).then_some(())
    });
    assert!(asked.elapsed() < AT_ONCE);
    assert_eq!(nginx.answer(), "one");
    eventually("a line in the new log", || (nginx.place.read("access.log").lines().count() == 1).then_some(()));
    assert_eq!(nginx.place.read("access.log.1"), "");
    if is_root() {
        for name in ["access.log", "error.log"] {
            assert_eq!(nginx.place.path(name).metadata().unwrap().uid(), NOBODY, "the worker's user can open it");
        }
    }
}

#[test]
fn quit_finishes_requests_in_flight() {
    for signal_the_worker in [false, true] {
        let backend = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place::new();
        let upstream = backend.local_addr().unwrap();
        place.configure(
            "",
            &format!("server {{ listen 127.0.0.1:{}; location / {{ proxy_pass http://{upstream}; }} }}", place.port),
        );
        let nginx = place.start();
        let (master, worker) = (nginx.master(), nginx.worker());
        let mut client = nginx.client();
        client.send("/");
        let (mut request, _) = accept(&backend);
        assert_ne!(request.read(&mut [0; 4096]).unwrap(), 0);
        kill(if signal_the_worker { worker } else { master }, libc::SIGQUIT);
        nginx.place.wait_for_message("gracefully shutting down");
        request.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate").unwrap();
        assert_eq!(client.receive(), "late");
        wait_for_end(&[worker]);
        if !signal_the_worker {
            wait_for_end(&[master]);
        }
    }
}

/// A nginx that is sending a long file to a client that has read the head of the answer.
fn start_with_download() -> (Running, Client) {
    let place = Place::new();
    fs::File::create(place.path("long")).unwrap().set_len(LONG).unwrap();
    let root = place.path("");
    place.configure(
        "worker_shutdown_timeout 60s;",
        &format!("server {{ listen 127.0.0.1:{}; root {}; }}", place.port, root.display()),
    );
    let nginx = place.start();
    let mut client = nginx.client();
    client.send("/long");
    assert_eq!(client.receive_head(), LONG as usize);
    (nginx, client)
}

/// More than all buffers between the two take.
const LONG: u64 = 64 << 20;

#[test]
fn quit_finishes_downloads() {
    for signal_the_worker in [false, true] {
        let (nginx, mut client) = start_with_download();
        let (master, worker) = (nginx.master(), nginx.worker());
        let mut idle = nginx.client();
        idle.get("/missing");
        kill(if signal_the_worker { worker } else { master }, libc::SIGQUIT);
        nginx.place.wait_for_message("gracefully shutting down");
        assert!(idle.is_closed());
        assert!(is_alive(worker));
        assert_eq!(client.receive_rest(), LONG as usize);
        wait_for_end(&[worker]);
        if signal_the_worker {
            nginx.place.wait_for_message(&format!("worker process {worker} exited with code 0"));
            eventually("another worker", || nginx.workers().first().copied());
        } else {
            wait_for_end(&[master]);
        }
    }
}

#[test]
fn term_waits_for_nobody() {
    let (nginx, _client) = start_with_download();
    let asked = Instant::now();
    nginx.end(libc::SIGTERM);
    assert!(asked.elapsed() < AT_ONCE);
}

#[test]
fn quit_ends_after_its_timeout() {
    let (nginx, _client) = start_with_download();
    let text = nginx.place.read("nginx.conf").replace("worker_shutdown_timeout 60s", "worker_shutdown_timeout 50ms");
    nginx.place.write("nginx.conf", &text);
    nginx.reload();
    let asked = Instant::now();
    nginx.end(libc::SIGQUIT);
    assert!((Duration::from_millis(40)..AT_ONCE).contains(&asked.elapsed()));
}

#[test]
fn a_worker_that_stopped_is_killed() {
    let place = Place::new();
    place.answering("one");
    let nginx = place.start();
    kill(nginx.worker(), libc::SIGSTOP);
    nginx.end(libc::SIGTERM);
    assert!(nginx.place.log().contains("exited on signal 9"));
}

#[test]
fn a_master_that_is_killed_leaves_its_worker_serving() {
    let place = Place::new();
    place.answering("one");
    let nginx = place.start();
    let (master, worker) = (nginx.master(), nginx.worker());
    kill(master, libc::SIGKILL);
    wait_for_end(&[master]);
    assert_eq!(nginx.answer(), "one");
    kill(worker, libc::SIGQUIT);
    wait_for_end(&[worker]);
}
