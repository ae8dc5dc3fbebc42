//! A new binary: <https://nginx.org/en/docs/control.html#upgrade>.

use crate::place::{Place, Running, children, command_line, eventually, exists, is_alive, kill, wait_for_end};

fn start() -> Running {
    let place = Place::new();
    place.answering("one");
    place.start()
}

/// Starts a new binary, and gives the number of its master.
fn change_binary(nginx: &Running) -> i32 {
    let old = nginx.master();
    nginx.signal(libc::SIGUSR2);
    eventually("the new binary's pid file", || {
        let new = nginx.place.read("nginx.pid").trim().parse().ok()?;
        (new != old && exists(&nginx.place.path("nginx.pid.oldbin"))).then_some(new)
    })
}

#[test]
fn a_new_binary_takes_the_ports_over() {
    let nginx = start();
    let old = nginx.master();
    let mut client = nginx.client();
    assert_eq!(client.get("/"), "one");
    let new = change_binary(&nginx);
    eventually("its title", || command_line(new).starts_with("nginx: master process ").then_some(()));
    eventually("the new worker", || children(new).first().copied());
    let old_workers = children(old).into_iter().filter(|pid| *pid != new).collect::<Vec<_>>();
    kill(old, libc::SIGQUIT);
    wait_for_end(&[vec![old], old_workers].concat());
    assert!(!exists(&nginx.place.path("nginx.pid.oldbin")));
    assert_eq!(nginx.answer(), "one");
    assert!(client.is_closed(), "an idle connection is closed, not reset");
    nginx.place.answering("two");
    nginx.reload();
    assert_eq!(nginx.answer(), "two");
}

#[test]
fn an_upgrade_can_be_taken_back() {
    let nginx = start();
    let old = nginx.master();
    let new = change_binary(&nginx);
    let old_workers: Vec<_> = children(old).into_iter().filter(|pid| *pid != new).collect();
    kill(old, libc::SIGWINCH);
    wait_for_end(&old_workers);
    assert!(is_alive(old));
    assert_eq!(nginx.answer(), "one", "the new binary serves alone");
    kill(old, libc::SIGHUP);
    eventually("workers of the old binary", || children(old).iter().any(|pid| *pid != new).then_some(()));
    let new_workers = children(new);
    kill(new, libc::SIGQUIT);
    wait_for_end(&[vec![new], new_workers].concat());
    eventually("the pid file's name", || (nginx.place.read("nginx.pid").trim() == old.to_string()).then_some(()));
    assert!(!exists(&nginx.place.path("nginx.pid.oldbin")));
    assert_eq!(nginx.answer(), "one");
}

/// HUP gives the old binary another worker while a new one runs, as in nginx, though it has its own still.
#[test]
fn workers_of_an_upgrade_taken_back_are_reloaded_together() {
    let nginx = start();
    let old = nginx.master();
    let new = change_binary(&nginx);
    let workers = || children(old).into_iter().filter(|pid| *pid != new).count();
    eventually("the new worker", || children(new).first().copied());
    kill(old, libc::SIGHUP);
    eventually("a second worker of the old binary", || (workers() == 2).then_some(()));
    kill(new, libc::SIGTERM);
    wait_for_end(&[new]);
    eventually("the pid file's name", || (nginx.place.read("nginx.pid").trim() == old.to_string()).then_some(()));
    nginx.place.answering("two");
    nginx.signal(libc::SIGHUP);
    eventually("one worker", || (workers() == 1).then_some(()));
    for _ in 0..20 {
        assert_eq!(nginx.answer(), "two");
    }
}

#[test]
fn a_new_binary_that_fails_changes_nothing() {
    let nginx = start();
    let old = nginx.master();
    nginx.place.configure("", "server { bogus; }");
    nginx.signal(libc::SIGUSR2);
    nginx.place.wait_for_message("exited with code 1");
    eventually("the pid file's name", || (nginx.place.read("nginx.pid").trim() == old.to_string()).then_some(()));
    assert_eq!(nginx.answer(), "one");
}

#[test]
fn two_upgrades_at_once_are_refused() {
    let nginx = start();
    let old = nginx.master();
    let new = change_binary(&nginx);
    eventually("the new worker", || children(new).first().copied());
    for master in [old, new] {
        kill(master, libc::SIGUSR2);
        nginx.place.wait_for_message(&format!("[crit] {master}#{master}: the changing binary signal is ignored"));
    }
    kill(old, libc::SIGTERM);
    wait_for_end(&[old]);
}

/// Both ways between nginx and rnginx, where `NGINX_BIN` names a nginx.
#[test]
fn nginx_is_upgraded_to_rnginx_and_back() {
    let Some(oracle) = std::env::var_os("NGINX_BIN") else { return };
    let place = Place::new();
    place.answering("one");
    // Where nginx's own access log stands.
    std::fs::create_dir(place.path("logs")).unwrap();
    let link = place.path("nginx");
    let point_to = |binary: &std::ffi::OsStr| {
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(binary, &link).unwrap();
    };
    point_to(&oracle);
    let link_path = link.clone();
    let nginx = place.with_binary(link_path).start();
    for (binary, name) in [(env!("CARGO_BIN_EXE_rnginx").as_ref(), "rnginx"), (oracle.as_os_str(), "nginx")] {
        point_to(binary);
        let old = nginx.master();
        let new = change_binary(&nginx);
        eventually("the new worker", || children(new).first().copied());
        kill(old, libc::SIGQUIT);
        wait_for_end(&[old]);
        assert_eq!(nginx.answer(), "one", "{name} serves");
        let image = std::fs::read_link(format!("/proc/{}/exe", nginx.master())).unwrap();
        assert_eq!(image, std::path::Path::new(binary).canonicalize().unwrap());
    }
}
