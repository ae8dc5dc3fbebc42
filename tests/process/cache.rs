//! Caches outlive processes, reloads and sudden deaths, and nothing is served that was not whole.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::place::{Place, Running, eventually, kill, wait_for_end};

/// How long the answer under `/large` is, in bytes.
const LARGE: usize = 2_000_000;

/// A backend that counts its answers; of what is asked for as `/half` it sends only half, and waits.
struct Backend {
    address: SocketAddr,
    answers: Arc<AtomicUsize>,
}

impl Backend {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, answers) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = answers.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let count = count.clone();
                std::thread::spawn(move || drop(answer(stream, &count)));
            }
        });
        Self { address, answers }
    }

    fn answers(&self) -> usize {
        self.answers.load(Ordering::SeqCst)
    }
}

fn answer(stream: TcpStream, count: &AtomicUsize) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut lines = Vec::new();
    while !matches!(lines.last().map(String::as_str), Some("\r\n" | "")) {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        lines.push(line);
    }
    let number = count.fetch_add(1, Ordering::SeqCst) + 1;
    let body = match lines[0].contains("/large") {
        true => "x".repeat(LARGE),
        false => format!("answer {number}"),
    };
    let stream = stream.get_mut();
    write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
    if number == 1 && body.len() == LARGE {
        stream.write_all(&body.as_bytes()[..LARGE / 2])?;
        // The other side is killed meanwhile.
        stream.read_exact(&mut [0])?;
    }
    stream.write_all(body.as_bytes())
}

fn configure(place: &Place, backend: &Backend, path: &str) {
    let (port, backend) = (place.port, backend.address);
    place.configure(
        "",
        &format!(
            "proxy_cache_path {path} use_temp_path=off;\n\
             server {{ listen 127.0.0.1:{port}; proxy_cache one; proxy_cache_valid 1h; proxy_cache_key $uri;\n\
             location / {{ proxy_pass http://{backend}; }} }}"
        ),
    );
}

fn start(backend: &Backend) -> Running {
    let place = Place::new();
    configure(&place, backend, "cache levels=1:2 keys_zone=one:1m");
    place.start()
}

fn start_again(nginx: &Running) {
    let said = nginx.place.run([]);
    assert_eq!((said.code, said.stderr.as_str()), (0, ""), "{}", nginx.place.log());
}

#[test]
fn answers_are_found_again_after_a_restart() {
    let backend = Backend::start();
    let nginx = start(&backend);
    assert_eq!(nginx.client().get("/a"), "answer 1");
    nginx.end(libc::SIGQUIT);
    start_again(&nginx);
    assert_eq!(nginx.client().get("/a"), "answer 1");
    assert_eq!(nginx.client().get("/b"), "answer 2");
}

#[test]
fn answers_live_on_over_a_reload_that_leaves_their_folder() {
    let backend = Backend::start();
    let nginx = start(&backend);
    assert_eq!(nginx.client().get("/a"), "answer 1");
    configure(&nginx.place, &backend, "cache levels=1:2 keys_zone=one:1m inactive=1h max_size=1g");
    nginx.reload();
    assert_eq!(nginx.client().get("/a"), "answer 1");
    configure(&nginx.place, &backend, "other levels=1:2 keys_zone=one:1m");
    nginx.signal(libc::SIGHUP);
    let (new, old) = (nginx.place.path("other"), nginx.place.path("cache"));
    nginx.place.wait_for_message(&format!(
        "cache \"one\" uses the \"{}\" cache path while previously it used the \"{}\" cache path",
        new.display(),
        old.display()
    ));
    configure(&nginx.place, &backend, "cache levels=2 keys_zone=one:1m");
    nginx.signal(libc::SIGHUP);
    nginx.place.wait_for_message("cache \"one\" had previously different levels");
    assert_eq!(nginx.client().get("/a"), "answer 1");
}

#[test]
fn sudden_death_leaves_nothing_that_is_not_whole() {
    let backend = Backend::start();
    let nginx = start(&backend);
    nginx.client().send("/large");
    let cache = nginx.place.path("cache");
    eventually("half of an answer on the disk", || (size_below(&cache) > LARGE as u64 / 4).then_some(()));
    let processes = [vec![nginx.master()], nginx.workers()].concat();
    processes.iter().for_each(|pid| kill(*pid, libc::SIGKILL));
    wait_for_end(&processes);
    start_again(&nginx);
    assert_eq!(nginx.client().get("/large"), "x".repeat(LARGE));
    assert_eq!(backend.answers(), 2, "half an answer was thrown away");
    assert_eq!(nginx.client().get("/large"), "x".repeat(LARGE));
    assert_eq!(backend.answers(), 2);
}

/// What all files below a folder hold.
fn size_below(folder: &std::path::Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size_below(&entry.path()),
        found => found.map_or(0, |found| found.len()),
    };
    entries.flatten().map(size).sum()
}
