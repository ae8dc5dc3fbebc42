//! Under a service manager: it is told what happens, and it may hand us the sockets.

use std::net::TcpListener;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::place::{Place, eventually, kill};

/// A service manager's ear, and the service that talks to it.
struct Service {
    place: Place,
    ear: UnixDatagram,
    child: Child,
}

impl Service {
    fn start(main: &str, environment: &[(&str, &str)]) -> Self {
        let place = Place::new();
        place.configure(main, &format!("server {{ listen 127.0.0.1:{}; return 200 one; }}", place.port));
        let ear = UnixDatagram::bind(place.path("notify")).unwrap();
        ear.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut command = place.command([]);
        command.env("NOTIFY_SOCKET", place.path("notify")).envs(environment.iter().copied());
        let child = command.spawn().unwrap();
        Self { place, ear, child }
    }

    /// What it says next, one line each.
    fn hears(&self) -> Vec<String> {
        let mut buffer = [0; 512];
        let length = self.ear.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned).collect()
    }

    fn ready(&self) -> Vec<String> {
        vec!["READY=1".to_owned(), format!("MAINPID={}", self.child.id())]
    }

    fn signal(&self, signal: i32) {
        kill(self.child.id() as i32, signal);
    }

    fn end(mut self) {
        self.signal(libc::SIGQUIT);
        assert_eq!(self.hears(), ["STOPPING=1"]);
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn says_when_it_serves_reloads_and_ends() {
    for main in ["daemon off;", "daemon off; master_process off;"] {
        let service = Service::start(main, &[]);
        assert_eq!(service.hears(), service.ready());
        assert_eq!(Client::connect(service.place.port).get("/"), "one");
        service.signal(libc::SIGHUP);
        let reloading = service.hears();
        assert_eq!(reloading[0], "RELOADING=1");
        assert!(reloading[1].starts_with("MONOTONIC_USEC="), "{reloading:?}");
        assert_eq!(service.hears(), service.ready());
        service.place.write("nginx.conf", "oops");
        service.signal(libc::SIGHUP);
        assert_eq!(service.hears()[0], "RELOADING=1");
        assert_eq!(service.hears(), service.ready(), "the old configuration serves on");
        service.end();
    }
}

#[test]
fn gives_signs_of_life() {
    let service = Service::start("daemon off;", &[("WATCHDOG_USEC", "100000")]);
    let start = Instant::now();
    let heard: Vec<_> = (0..6).map(|_| service.hears().remove(0)).collect();
    assert!(heard.iter().filter(|heard| *heard == "WATCHDOG=1").count() >= 5, "{heard:?}");
    assert!(start.elapsed() >= Duration::from_millis(150), "twice as often as asked for, not more");
}

impl Drop for Service {
    fn drop(&mut self) {
        if self.child.try_wait().unwrap().is_none() {
            self.signal(libc::SIGTERM);
            self.child.wait().unwrap();
        }
    }
}

#[test]
fn serves_on_sockets_that_were_opened_for_it() {
    let place = Place::new();
    let socket = TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    place.configure("daemon off;", &format!("server {{ listen 127.0.0.1:{}; return 200 one; }}", place.port));
    let program = place.command([]);
    // The variable names the process that is meant: only a shell knows the number before it becomes the program.
    let mut command = Command::new("sh");
    command.args(["-c", "LISTEN_PID=$$ exec \"$@\"", "sh"]).arg(program.get_program()).args(program.get_args());
    command.env("RNGINX_LAYOUT", "source").env("LISTEN_FDS", "1");
    let number = socket.as_raw_fd();
    // SAFETY: the closure makes one system call, on a descriptor that is open until the command has started.
    unsafe {
        command.pre_exec(move || {
            let copied = if number == 3 { libc::fcntl(3, libc::F_SETFD, 0) } else { libc::dup2(number, 3) };
            if copied < 0 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
        });
    }
    let mut child = command.spawn().unwrap();
    drop(socket);
    eventually("the pid file", || place.read("nginx.pid").trim().parse::<u32>().ok());
    assert_eq!(Client::connect(place.port).get("/"), "one");
    assert!(place.log().contains("using inherited sockets from \"3;\""), "{}", place.log());
    kill(child.id() as i32, libc::SIGQUIT);
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
