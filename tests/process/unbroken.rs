//! Under load: reloads and new binaries drop nobody.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::load::Load;
use crate::place::{Place, Running, children, command_line, eventually, is_alive, kill, wait_for_end};

/// Clients that ask all the time, and how often the configuration or the binary changes meanwhile.
const CLIENTS: usize = 40;
const RELOADS: usize = 12;

/// Settings by which no connection ends for another reason.
const KEEP: &str = "keepalive_requests 1000000;";

fn answering(place: &Place, answer: &str) {
    place.configure("", &format!("{KEEP} server {{ listen 127.0.0.1:{}; return 200 {answer}; }}", place.port));
}

#[test]
fn reloads_drop_nobody() {
    let place = Place::new();
    answering(&place, "before");
    let nginx = place.start();
    let load = Load::start(nginx.place.port, CLIENTS, &["/"]);
    for round in 0..RELOADS {
        answering(&nginx.place, &format!("round-{round}"));
        let said = nginx.place.run(["-s", "reload"]);
        assert_eq!((said.code, said.stderr.as_str()), (0, ""));
        assert_eq!(nginx.answer(), format!("round-{round}"));
        load.wait(CLIENTS);
    }
    let tally = load.end();
    assert!(tally.lost.is_empty() && tally.unanswered.is_empty(), "{tally:?}");
    assert_eq!(tally.connections, CLIENTS, "every connection lives on");
    assert_eq!(nginx.workers().len(), 1);
}

#[test]
fn reloads_that_start_another_worker_drop_nobody() {
    let place = Place::new();
    let configure = |place: &Place, limit: usize| {
        let main = format!("worker_rlimit_nofile {limit};");
        place.configure(&main, &format!("{KEEP} server {{ listen 127.0.0.1:{}; return 200 one; }}", place.port));
    };
    configure(&place, 1000);
    let nginx = place.start();
    let load = Load::start(nginx.place.port, CLIENTS, &["/"]);
    for round in 1..4 {
        let worker = nginx.worker();
        configure(&nginx.place, 1000 + round);
        assert_eq!(nginx.place.run(["-s", "reload"]).code, 0);
        wait_for_end(&[worker]);
        load.wait(CLIENTS);
    }
    let tally = load.end();
    assert!(tally.lost.is_empty() && tally.unanswered.is_empty(), "{tally:?}");
}

#[test]
fn a_killed_worker_costs_its_requests_only() {
    const KILLS: usize = 3;
    let place = Place::new();
    answering(&place, "one");
    let nginx = place.start();
    let load = Load::start(nginx.place.port, CLIENTS, &["/"]);
    let mut replaced = Duration::MAX;
    for _ in 0..KILLS {
        let worker = nginx.worker();
        let killed = Instant::now();
        kill(worker, libc::SIGKILL);
        let is_new = |pid: &i32| *pid != worker && command_line(*pid) == "nginx: worker process";
        eventually("another worker", || nginx.workers().iter().any(is_new).then_some(()));
        replaced = replaced.min(killed.elapsed());
        nginx
            .place
            .wait_for_message(&format!("[alert] {0}#{0}: worker process {worker} exited on signal 9", nginx.master()));
        load.wait(CLIENTS);
    }
    let tally = load.end();
    // The machine may be busy once, not thrice.
    assert!(replaced <= Duration::from_millis(100), "{replaced:?}");
    assert!(tally.unanswered.len() + tally.lost.len() <= KILLS * CLIENTS, "{tally:?}");
    assert!(!tally.lost.iter().any(|lost| lost.starts_with("connect") || lost.starts_with("status")), "{tally:?}");
}

/// A nginx that runs as what a link points to, which may change.
struct Changing {
    nginx: Running,
    link: PathBuf,
}

impl Changing {
    fn start(binary: &Path) -> Self {
        let place = Place::new();
        answering(&place, "one");
        // Where nginx's own logs stand.
        std::fs::create_dir(place.path("logs")).unwrap();
        let link = place.path("nginx");
        symlink(binary, &link).unwrap();
        let nginx = place.with_binary(&link).start();
        // nginx forgets a signal that comes after its pid file and before it starts workers.
        eventually("the first worker", || nginx.workers().first().copied());
        Self { nginx, link }
    }

    /// USR2: the new binary's master runs beside the old one; both.
    fn start_new(&self, binary: &Path) -> (i32, i32) {
        std::fs::remove_file(&self.link).unwrap();
        symlink(binary, &self.link).unwrap();
        let old = self.nginx.master();
        self.nginx.signal(libc::SIGUSR2);
        let new = eventually("the new binary's pid file", || {
            let new = self.nginx.place.read("nginx.pid").trim().parse().ok()?;
            (new != old).then_some(new)
        });
        eventually("the new worker", || children(new).first().copied());
        (old, new)
    }

    fn image(&self) -> PathBuf {
        std::fs::read_link(format!("/proc/{}/exe", self.nginx.master())).unwrap()
    }
}

fn rnginx() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_rnginx"))
}

/// A nginx, where there is one: the one that `NGINX_BIN` names, or Debian's.
fn nginx() -> Option<PathBuf> {
    let named = std::env::var_os("NGINX_BIN").map(PathBuf::from);
    let path = named.or_else(|| Some("/usr/sbin/nginx".into()))?.canonicalize().ok()?;
    let said = std::process::Command::new(&path).arg("-v").output().ok()?;
    (!String::from_utf8_lossy(&said.stderr).contains("rnginx")).then_some(path)
}

#[test]
fn new_binaries_drop_nobody() {
    let changing = Changing::start(rnginx());
    let load = Load::start(changing.nginx.place.port, CLIENTS, &["/"]);
    // As nginx's page says: the old workers go, then the old master.
    let (old, _) = changing.start_new(rnginx());
    load.wait(CLIENTS);
    kill(old, libc::SIGWINCH);
    eventually("the old workers' end", || (children(old).len() == 1).then_some(()));
    load.wait(CLIENTS);
    kill(old, libc::SIGQUIT);
    wait_for_end(&[old]);
    load.wait(CLIENTS);
    // And back: the old binary takes up its work again, and the new one goes.
    let (old, new) = changing.start_new(rnginx());
    kill(old, libc::SIGWINCH);
    eventually("the old workers' end", || (children(old).len() == 1).then_some(()));
    kill(old, libc::SIGHUP);
    eventually("a worker of the old binary", || (children(old).len() == 2).then_some(()));
    load.wait(CLIENTS);
    kill(new, libc::SIGQUIT);
    wait_for_end(&[new]);
    load.wait(CLIENTS);
    assert!(is_alive(old));
    let tally = load.end();
    assert!(tally.lost.is_empty() && tally.unanswered.is_empty(), "{tally:?}");
}

/// nginx closes kept connections under its clients when it goes; we do not. No connection is refused either way.
#[test]
fn from_nginx_to_rnginx_and_back_nobody_is_turned_away() {
    let Some(theirs) = nginx() else { return };
    let changing = Changing::start(&theirs);
    for binary in [rnginx(), &theirs, rnginx()] {
        let is_ours = changing.image() == rnginx().canonicalize().unwrap();
        let load = Load::start(changing.nginx.place.port, CLIENTS, &["/"]);
        let (old, _) = changing.start_new(binary);
        load.wait(CLIENTS);
        kill(old, libc::SIGQUIT);
        wait_for_end(&[old]);
        load.wait(CLIENTS);
        let tally = load.end();
        assert!(tally.lost.is_empty(), "{tally:?}");
        assert!(tally.unanswered.is_empty() || !is_ours, "{tally:?}");
        assert_eq!(changing.image(), binary.canonicalize().unwrap());
        eventually("one pid file", || (!changing.nginx.place.path("nginx.pid.oldbin").exists()).then_some(()));
    }
}

#[test]
fn nginx_can_take_its_work_back() {
    let Some(theirs) = nginx() else { return };
    let changing = Changing::start(&theirs);
    let (old, new) = changing.start_new(rnginx());
    kill(old, libc::SIGWINCH);
    eventually("the old workers' end", || (children(old).len() == 1).then_some(()));
    assert_eq!(changing.nginx.answer(), "one", "rnginx serves alone");
    kill(old, libc::SIGHUP);
    eventually("nginx's workers", || (children(old).len() > 1).then_some(()));
    kill(new, libc::SIGTERM);
    wait_for_end(&[new]);
    eventually("nginx's pid file", || (changing.nginx.place.read("nginx.pid").trim() == old.to_string()).then_some(()));
    assert_eq!(changing.nginx.answer(), "one");
    assert_eq!(changing.image(), theirs);
}

/// More than all buffers between the two take.
const LONG: u64 = 64 << 20;

#[test]
fn downloads_and_answers_on_their_way_live_through_reloads() {
    let place = Place::new();
    std::fs::File::create(place.path("long")).unwrap().set_len(LONG).unwrap();
    let root = place.path("").display().to_string();
    place.configure("", &format!("server {{ listen 127.0.0.1:{}; root {root}; }}", place.port));
    let nginx = place.start();
    let worker = nginx.worker();
    let mut client = Client::connect(nginx.place.port);
    client.send("/long");
    assert_eq!(client.receive_head(), LONG as usize);
    for round in 0..5 {
        nginx.place.answering(&format!("round-{round}"));
        nginx.reload();
    }
    assert_eq!(client.receive_body(LONG as usize).len(), LONG as usize);
    assert_eq!(client.get("/"), "round-4", "the connection goes on with what is in force now");
    assert_eq!(nginx.worker(), worker);
}
