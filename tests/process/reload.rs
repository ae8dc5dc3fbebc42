//! HUP: the new configuration is in force, or the old one stays; connections live on either way.

use std::net::TcpListener;
use std::process::Command;

use crate::client::Client;
use crate::place::{Place, Running, configuration, eventually, exists, free_port, is_root, open_files, wait_for_end};

fn start(answer: &str) -> Running {
    let place = Place::new();
    place.answering(answer);
    place.start()
}

#[test]
fn a_connection_lives_on_and_sees_the_new_answer() {
    let nginx = start("one");
    let worker = nginx.worker();
    let mut client = nginx.client();
    assert_eq!(client.get("/"), "one");
    nginx.place.answering("two");
    nginx.reload();
    assert_eq!(client.get("/"), "two");
    assert_eq!(nginx.answer(), "two");
    assert_eq!(nginx.workers(), [worker], "the worker changed in place");
}

#[test]
fn a_broken_configuration_changes_nothing() {
    let nginx = start("one");
    let worker = nginx.worker();
    let mut client = nginx.client();
    assert_eq!(client.get("/"), "one");
    nginx.place.configure("", "server { bogus; }");
    nginx.signal(libc::SIGHUP);
    let at = nginx.place.place_of("bogus");
    nginx.place.wait_for_message(&format!("[emerg] {0}#{0}: unknown directive \"bogus\" in {at}", nginx.master()));
    assert_eq!(client.get("/"), "one");
    nginx.place.answering("two");
    nginx.reload();
    assert_eq!(client.get("/"), "two");
    assert_eq!(nginx.workers(), [worker]);
}

#[test]
fn a_port_that_others_hold_changes_nothing() {
    let nginx = start("one");
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = held.local_addr().unwrap();
    let both = format!("listen 127.0.0.1:{}; listen {taken};", nginx.place.port);
    nginx.place.configure("", &format!("server {{ {both} return 200 two; }}"));
    nginx.signal(libc::SIGHUP);
    nginx.place.wait_for_message("still could not bind()");
    assert!(nginx.place.log().contains(&format!("bind() to {taken} failed (98: Address already in use)")));
    assert_eq!(nginx.answer(), "one");
}

#[test]
fn the_command_line_waits_until_it_is_in_force() {
    let nginx = start("one");
    for answer in ["two", "three", "four"] {
        nginx.place.answering(answer);
        let said = nginx.place.run(["-s", "reload"]);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""));
        assert_eq!(nginx.answer(), answer);
    }
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("server {{ listen {}; return 200 five; }}", held.local_addr().unwrap());
    nginx.place.configure("", &listen);
    let said = nginx.place.run(["-s", "reload"]);
    let message = "nginx: [emerg] the new configuration could not be put in force, the error log says why\n";
    assert_eq!((said.code, said.stderr.as_str()), (1, message));
    assert_eq!(nginx.answer(), "four");
}

#[test]
fn many_command_lines_at_once_are_all_told() {
    let nginx = start("one");
    let began = std::time::Instant::now();
    let mut waiting: Vec<_> = (0..20).map(|_| nginx.place.command(["-s", "reload"]).spawn().unwrap()).collect();
    assert!(waiting.iter_mut().all(|child| child.wait().unwrap().success()));
    assert!(began.elapsed() < std::time::Duration::from_secs(15), "{:?}", began.elapsed());
    assert_eq!(nginx.answer(), "one");
}

#[test]
fn the_command_line_is_told_by_a_process_without_master_too() {
    let place = Place::new();
    let http = |answer| format!("server {{ listen 127.0.0.1:{}; return 200 {answer}; }}", place.port);
    let two = configuration("master_process off;", &http("two"));
    place.configure("master_process off;", &http("one"));
    let nginx = place.start();
    nginx.place.write("nginx.conf", &two);
    let said = nginx.place.run(["-s", "reload"]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""));
    assert_eq!(nginx.answer(), "two");
}

#[test]
fn listeners_come_and_go() {
    let nginx = start("one");
    let (first, second, socket) = (nginx.place.port, free_port(), nginx.place.path("socket"));
    let listen = |listens: &str| nginx.place.configure("", &format!("server {{ {listens} return 200 one; }}"));
    listen(&format!("listen 127.0.0.1:{first}; listen 127.0.0.1:{second}; listen unix:{};", socket.display()));
    nginx.reload();
    let mut kept = Client::connect(second);
    assert_eq!((Client::connect(first).get("/"), kept.get("/")), ("one".into(), "one".into()));
    assert!(exists(&socket));
    listen(&format!("listen 127.0.0.1:{first};"));
    nginx.reload();
    assert_eq!(nginx.answer(), "one");
    eventually("the second port's end", || Client::try_connect(second).is_err().then_some(()));
    assert!(!exists(&socket));
    nginx.place.wait_for_message(&format!("[warn] {0}#{0}: deleting socket {1}", nginx.master(), socket.display()));
    kept.send("/");
    assert!(
        kept.receive_lines().contains("Connection: close\r\n"),
        "a connection of a listener that is gone ends politely"
    );
    assert_eq!(kept.receive_body(3), b"one");
    assert!(kept.is_closed());
}

#[test]
fn what_is_for_encrypted_connections_is_not_told_to_others() {
    let Ok(made) = Command::new("openssl").args(OPENSSL).current_dir(std::env::temp_dir()).output() else { return };
    let text = String::from_utf8(made.stdout).unwrap();
    let place = Place::new();
    place.answering("plain");
    place.write("both.pem", &text);
    let nginx = place.start();
    let mut kept = nginx.client();
    assert_eq!(kept.get("/"), "plain");
    let file = nginx.place.path("both.pem").display().to_string();
    let server =
        format!("listen 127.0.0.1:{} ssl; ssl_certificate {file}; ssl_certificate_key {file};", nginx.place.port);
    nginx.place.configure("", &format!("server {{ {server} return 200 secret; }}"));
    nginx.reload();
    assert_eq!(kept.get("/"), "plain");
    assert!(kept.is_closed());
    assert_eq!(nginx.client().status("/"), 400, "a new one is told that it should be encrypted");
}

/// A key and a certificate on the output.
const OPENSSL: [&str; 14] = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "2",
    "-subj",
    "/CN=a",
    "-keyout",
    "/dev/stdout",
    "-batch",
];

#[test]
fn what_a_reload_takes_away_is_named() {
    let place = Place::new();
    let (port, other) = (place.port, free_port());
    let second = format!("server {{ listen 127.0.0.1:{port}; }}");
    let server = |listen: &str, names: &str| {
        format!("server {{ listen 127.0.0.1:{port}; {listen} server_name {names}; }} {second}")
    };
    place.configure("", &server(&format!("listen 127.0.0.1:{other};"), "a.example .b.example c.*"));
    let nginx = place.start();
    nginx.place.configure("", &server("", "a.example"));
    nginx.reload();
    let lost = |message: &String| message.contains("no longer");
    let messages: Vec<_> = nginx.place.messages().into_iter().filter(lost).collect();
    let name =
        |name| format!("[notice] the new configuration no longer has server name \"{name}\" on 127.0.0.1:{port}");
    let listens = format!("[notice] the new configuration no longer listens on 127.0.0.1:{other}");
    assert_eq!(messages, [name("*.b.example"), name("b.example"), name("c.*"), listens]);
}

#[test]
fn what_cannot_be_swapped_starts_another_worker() {
    if !is_root() {
        return;
    }
    let nginx = start("one");
    let worker = nginx.worker();
    let http = format!("server {{ listen 127.0.0.1:{}; return 200 two; }}", nginx.place.port);
    nginx.place.write("nginx.conf", &configuration("user daemon;", &http));
    nginx.signal(libc::SIGHUP);
    wait_for_end(&[worker]);
    assert_eq!(nginx.answer(), "two");
    assert_eq!(crate::place::status(nginx.worker(), "Uid").as_deref(), Some("1\t1\t1\t1"));
}

#[test]
fn a_timeout_ends_what_has_not_come_to_the_new_configuration() {
    let place = Place::new();
    std::fs::File::create(place.path("long")).unwrap().set_len(64 << 20).unwrap();
    let server = format!("server {{ listen 127.0.0.1:{}; root {}; }}", place.port, place.path("").display());
    place.configure("worker_shutdown_timeout 300ms;", &server);
    let nginx = place.start();
    let worker = nginx.worker();
    let (mut download, mut silent, mut active) = (nginx.client(), nginx.client(), nginx.client());
    download.send("/long");
    assert_eq!(download.receive_head(), 64 << 20);
    assert_eq!(active.status("/missing"), 404);
    nginx.reload();
    assert_eq!(active.status("/missing"), 404);
    assert!(silent.is_closed());
    assert!(download.receive_rest() < 64 << 20, "it was cut off");
    assert_eq!(active.status("/missing"), 404, "whoever has asked since then stays");
    assert_eq!(nginx.worker(), worker);
}

#[test]
fn a_worker_killed_later_comes_back_with_the_new_configuration() {
    let nginx = start("one");
    nginx.place.answering("two");
    nginx.reload();
    nginx.place.configure("", "server { bogus; }");
    crate::place::kill(nginx.worker(), libc::SIGKILL);
    assert_eq!(nginx.answer(), "two");
}

#[test]
fn the_pid_file_moves() {
    let nginx = start("one");
    let pid = nginx.place.read("nginx.pid");
    let http = format!("server {{ listen 127.0.0.1:{}; return 200 two; }}", nginx.place.port);
    let text = configuration("", &http).replace("pid nginx.pid", "pid moved.pid");
    nginx.place.write("nginx.conf", &text);
    nginx.reload();
    assert_eq!(nginx.place.read("moved.pid"), pid);
    assert!(!exists(&nginx.place.path("nginx.pid")));
    // Back, so that the end of the test finds it.
    nginx.place.write("nginx.conf", &configuration("", &http));
    crate::place::kill(pid.trim().parse().unwrap(), libc::SIGHUP);
    eventually("the pid file", || (nginx.place.read("nginx.pid") == pid).then_some(()));
}

#[test]
fn logs_are_opened_anew() {
    let nginx = start("one");
    std::fs::rename(nginx.place.path("access.log"), nginx.place.path("access.log.1")).unwrap();
    nginx.reload();
    nginx.answer();
    eventually("a line in the new log", || (nginx.place.read("access.log").lines().count() == 1).then_some(()));
    let http = format!("server {{ listen 127.0.0.1:{}; access_log other.log; return 200 two; }}", nginx.place.port);
    nginx.place.configure("", &http);
    nginx.reload();
    nginx.answer();
    eventually("a line in the other log", || (nginx.place.read("other.log").lines().count() == 1).then_some(()));
}

#[test]
fn a_hundred_reloads_leave_one_worker_and_no_descriptors() {
    let nginx = start("one");
    let (master, worker) = (nginx.master(), nginx.worker());
    let mut client = nginx.client();
    let count = |pid| open_files(pid).len();
    nginx.reload();
    let before = (count(master), count(worker));
    for round in 0..100 {
        nginx.place.answering(if round % 2 == 0 { "even" } else { "odd" });
        nginx.reload();
        assert_eq!(client.get("/"), if round % 2 == 0 { "even" } else { "odd" });
    }
    assert_eq!(nginx.workers(), [worker]);
    let is_no_more = || count(master) <= before.0 && count(worker) <= before.1;
    eventually("no more descriptors than before", || is_no_more().then_some(()));
}
