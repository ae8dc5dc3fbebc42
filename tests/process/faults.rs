//! What can go wrong around a server: no descriptors, no space, backends that do not take connections, many idle clients.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::place::{AT_ONCE, Place, eventually, is_root, status};

/// A small file system of its own in a place, full soon; it goes with the test.
pub struct Tmpfs(PathBuf);

impl Tmpfs {
    pub fn mount(path: PathBuf, size: &str) -> Self {
        fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o"]).arg(format!("size={size},mode=777"));
        assert!(mount.arg("tmpfs").arg(&path).status().unwrap().success(), "mount works as root");
        Self(path)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        // A lazy one: what still runs may have files open on it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// The CPU time of a process in clock ticks.
pub fn ticks(pid: i32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = text.rsplit(") ").next().unwrap().split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// The memory of a process in KiB.
pub fn memory(pid: i32) -> u64 {
    status(pid, "VmRSS").unwrap().trim_end_matches(" kB").parse().unwrap()
}

/// The answer to a request, head and body, on a connection that is closed after it.
fn ask(port: u16, request: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// A message without the number of its connection.
fn without_number(message: &str) -> String {
    let is_word = |word: &&str| word.strip_prefix('*').is_none_or(|rest| rest.parse::<u64>().is_err());
    message.split(' ').filter(is_word).collect::<Vec<_>>().join(" ")
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

#[test]
fn descriptors_run_out_and_come_back() {
    let place = Place::new();
    place.write("file", "contents");
    let app = format!("location /app {{ proxy_pass http://127.0.0.1:{}; }}", place.port);
    let root = place.path("").display().to_string();
    place.configure(
        "worker_rlimit_nofile 60;",
        &format!("server {{ listen 127.0.0.1:{}; root {root}; {app} }}", place.port),
    );
    let nginx = place.start();
    let mut held: Vec<_> = (0..100).map(|_| nginx.client()).collect();
    nginx.place.wait_for_message("[crit] ");
    let worker = nginx.worker();
    let (began, spent) = (Instant::now(), ticks(worker));
    std::thread::sleep(Duration::from_secs(1));
    let spent = ticks(worker) - spent;
    assert!(spent < 25, "{spent} ticks in {:?}: it spins", began.elapsed());
    let message = nginx.place.log().lines().find(|line| line.contains("[crit]")).unwrap().to_owned();
    assert!(message.ends_with("accept4() failed (24: Too many open files)"), "{message}");
    assert_eq!((held[0].status("/file"), held[1].status("/app")), (500, 500), "whoever is there is answered");
    let errors = [
        format!("[crit] open() \"{root}file\" failed (24: Too many open files), client: 127.0.0.1, "),
        "[alert] socket() failed (24: Too many open files) while connecting to upstream, client: 127.0.0.1, "
            .to_owned(),
    ];
    for error in errors {
        assert!(nginx.place.messages().iter().any(|message| without_number(message).starts_with(&error)), "{error}");
    }
    drop(held);
    let freed = Instant::now();
    eventually("the file", || (nginx.client().get("/file") == "contents").then_some(()));
    assert!(freed.elapsed() < AT_ONCE, "{:?}", freed.elapsed());
    assert_eq!(nginx.worker(), worker);
}

#[test]
fn idle_clients_make_room_for_others() {
    let place = Place::new();
    let server = format!("server {{ listen 127.0.0.1:{}; return 200 one; }}", place.port);
    place.write(
        "nginx.conf",
        &format!(
            "pid nginx.pid; error_log error.log warn; events {{ worker_connections 20; }} http {{ access_log off; {server} }}"
        ),
    );
    let nginx = place.start();
    let mut clients: Vec<_> = (0..40).map(|_| nginx.client()).collect();
    for client in &mut clients[25..] {
        assert_eq!(client.get("/"), "one", "whoever comes later is served");
    }
    assert!(clients[0].is_closed(), "whoever waited longest went");
    nginx.place.wait_for_message("[warn] ");
    assert!(nginx.place.log().contains("20 worker_connections are not enough, reusing connections"));
}

#[test]
fn a_full_disk_fails_uploads_and_nothing_else() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let _disk = Tmpfs::mount(place.path("disk"), "256k");
    let backend = UnixListener::bind(place.path("backend")).unwrap();
    place.configure(
        "user root;",
        &format!(
            "client_max_body_size 2m;
             server {{ listen 127.0.0.1:{}; client_body_in_file_only clean;
                client_body_temp_path disk/body; access_log disk/access.log;
                location / {{ return 200 fine; }}
                location /upload {{ proxy_pass http://unix:{}; }} }}",
            place.port,
            place.path("backend").display()
        ),
    );
    let nginx = place.start();
    let body = "x".repeat(1 << 20);
    let length = body.len();
    let upload =
        format!("POST /upload HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
    let answer = ask(nginx.place.port, &upload);
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
    nginx.place.wait_for_message("[crit] ");
    let log = nginx.place.log();
    let message = log.lines().find(|line| line.contains("[crit]")).unwrap();
    assert!(message.contains(" \"") && message.contains("/disk/body/00"), "{message}");
    assert!(message.contains(" failed (28: No space left on device), client: 127.0.0.1, server: , "), "{message}");
    fs::write(nginx.place.path("disk/fill"), vec![0; 256 << 10]).unwrap_err();
    for _ in 0..60 {
        assert_eq!(nginx.answer(), "fine");
    }
    // The line that did not fit is the one that is complained of, at most once a minute.
    let complaint = eventually("the complaint", || {
        let log = nginx.place.log();
        log.lines().find(|line| line.contains("[alert]") && line.contains("disk/access.log\" ")).map(str::to_owned)
    });
    let known = ["failed (28: No space left on device)", "was incomplete: "];
    assert!(known.iter().any(|known| complaint.contains(known)), "{complaint}");
    drop(backend);
}

#[test]
fn a_backend_that_takes_no_more_connections_is_502_at_once() {
    let place = Place::new();
    let path = place.path("backend");
    let socket = rustix::net::socket(rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &rustix::net::SocketAddrUnix::new(&path).unwrap()).unwrap();
    rustix::net::listen(&socket, 1).unwrap();
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let server =
        format!("listen 127.0.0.1:{}; location / {{ proxy_pass http://unix:{}; }}", place.port, path.display());
    place.configure("", &format!("server {{ {server} }}"));
    let nginx = place.start();
    let mut waiting: Vec<_> = (0..4).map(|_| nginx.client()).collect();
    waiting.iter_mut().for_each(|client| client.send("/"));
    nginx.place.wait_for_message("failed (11: Resource temporarily unavailable) while connecting to upstream");
    let asked = Instant::now();
    assert!(ask(nginx.place.port, GET).starts_with("HTTP/1.1 502 "));
    assert!(asked.elapsed() < AT_ONCE, "{:?}", asked.elapsed());
}

#[test]
fn a_log_folder_that_is_gone_costs_the_log_only() {
    let place = Place::new();
    fs::create_dir(place.path("logs")).unwrap();
    let server = format!("server {{ listen 127.0.0.1:{}; access_log logs/a.log; return 200 one; }}", place.port);
    place.configure("", &server);
    let nginx = place.start();
    assert_eq!(nginx.answer(), "one");
    fs::remove_dir_all(nginx.place.path("logs")).unwrap();
    nginx.signal(libc::SIGUSR1);
    nginx.place.wait_for_message("logs/a.log\" failed (2: No such file or directory)");
    assert_eq!(nginx.answer(), "one");
    fs::create_dir(nginx.place.path("logs")).unwrap();
    nginx.signal(libc::SIGUSR1);
    eventually("the log", || {
        nginx.answer();
        nginx.place.read("logs/a.log").contains("GET / HTTP/1.1").then_some(())
    });
}

/// Idle clients, and what they may cost in KiB.
const CLIENTS: usize = 10_000;
const COST: u64 = 25 << 10;

#[test]
fn ten_thousand_idle_clients_cost_little() {
    let limit = getrlimit(Resource::Nofile);
    let wanted = 2 * CLIENTS as u64 + 1000;
    if limit.maximum.is_some_and(|maximum| maximum < wanted) {
        return;
    }
    setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }).unwrap();
    let place = Place::new();
    let server = format!("server {{ listen 127.0.0.1:{} backlog=4096; return 200 one; }}", place.port);
    place.write(
        "nginx.conf",
        &format!(
            "pid nginx.pid; error_log error.log; worker_rlimit_nofile 30000;
             events {{ worker_connections 20000; }} http {{ access_log off; {server} }}"
        ),
    );
    let nginx = place.start();
    assert_eq!(nginx.answer(), "one");
    let before = memory(nginx.worker());
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| nginx.client()).collect();
    clients.iter_mut().for_each(|client| assert_eq!(client.get("/"), "one"));
    let cost = memory(nginx.worker()) - before;
    assert!(cost < COST, "{cost} KiB for {CLIENTS} clients");
    assert_eq!(nginx.answer(), "one");
    assert_eq!(clients[CLIENTS / 2].get("/"), "one", "they are still there");
}
