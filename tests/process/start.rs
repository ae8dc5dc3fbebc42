//! Start and end: in the background and not, with a master and without, as root and as a plain user.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use crate::client::Client;
use crate::place::{
    NOBODY, Place, Said, as_nobody, command_line, configuration, eventually, exists, is_alive, is_root, kill, status,
};

#[test]
fn serves_when_its_parent_returns() {
    let place = Place::new();
    place.answering("one");
    let nginx = place.start();
    assert_eq!(nginx.answer(), "one");
    let (master, worker) = (nginx.master(), nginx.worker());
    assert!(command_line(master).starts_with("nginx: master process "), "{}", command_line(master));
    assert!(command_line(master).ends_with(" -c nginx.conf -e error.log"), "{}", command_line(master));
    assert_eq!(command_line(worker), "nginx: worker process");
    assert_eq!(status(master, "PPid").as_deref(), Some("1"), "the master is nobody's child");
    let fd = |pid, fd| fs::read_link(format!("/proc/{pid}/fd/{fd}")).unwrap();
    for pid in [master, worker] {
        assert_eq!(fd(pid, 0).to_str(), Some("/dev/null"));
        assert_eq!(fd(pid, 1).to_str(), Some("/dev/null"));
        assert_eq!(fd(pid, 2), nginx.place.path("error.log").canonicalize().unwrap());
    }
    nginx.end(libc::SIGQUIT);
    assert!(!exists(&nginx.place.path("nginx.pid")));
    assert!(Client::try_connect(nginx.place.port).is_err());
}

#[test]
fn its_notices_are_nginx_notices() {
    let place = Place::new();
    place.answering("one");
    let nginx = place.start();
    let (master, worker) = (nginx.master(), nginx.worker());
    nginx.end(libc::SIGQUIT);
    let test = std::process::id();
    let messages = nginx.place.messages();
    let expected = [
        "[notice] using the \"epoll\" event method".to_owned(),
        format!("[notice] nginx/1.28.3 (rnginx/{})", env!("CARGO_PKG_VERSION")),
        "[notice] start worker processes".to_owned(),
        format!("[notice] start worker process {worker}"),
        format!("[notice] signal 3 (SIGQUIT) received from {test}, shutting down"),
        "[notice] gracefully shutting down".to_owned(),
        "[notice] exiting".to_owned(),
        "[notice] exit".to_owned(),
        format!("[notice] signal 17 (SIGCHLD) received from {worker}"),
        format!("[notice] worker process {worker} exited with code 0"),
        "[notice] exit".to_owned(),
    ];
    let system = |message: &&String| !message.contains("OS: ") && !message.contains("getrlimit");
    assert_eq!(messages.iter().filter(system).collect::<Vec<_>>(), expected.iter().collect::<Vec<_>>());
    let by = |pid| move |line: &&str| line.contains(&format!(" {pid}#{pid}: "));
    let log = nginx.place.log();
    assert_eq!(log.lines().filter(by(worker)).count(), 3);
    assert_eq!(log.lines().filter(by(master)).count(), 6);
}

#[test]
fn stays_in_the_foreground_when_told() {
    for main in ["daemon off;", "daemon off; master_process off;"] {
        let place = Place::new();
        place.configure(main, &format!("server {{ listen 127.0.0.1:{}; return 200 one; }}", place.port));
        let mut child = place.command([]).stderr(Stdio::piped()).spawn().unwrap();
        let mut client = eventually("the port", || Client::try_connect(place.port).ok());
        assert_eq!(client.get("/"), "one");
        let pid = eventually("the pid file", || place.read("nginx.pid").trim().parse::<u32>().ok());
        assert_eq!(pid, child.id());
        kill(pid as i32, libc::SIGTERM);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert!(!exists(&place.path("nginx.pid")));
    }
}

#[test]
fn a_process_without_master_reloads() {
    let place = Place::new();
    let http = |answer| format!("server {{ listen 127.0.0.1:{}; return 200 {answer}; }}", place.port);
    place.configure("master_process off;", &http("one"));
    let two = configuration("master_process off;", &http("two"));
    let nginx = place.start();
    let mut client = nginx.client();
    assert_eq!(client.get("/"), "one");
    assert_eq!(nginx.workers(), []);
    nginx.place.write("nginx.conf", &two);
    nginx.signal(libc::SIGHUP);
    eventually("the new answer", || (nginx.answer() == "two").then_some(()));
    assert_eq!(client.get("/"), "two");
}

#[test]
fn a_port_that_others_hold_stops_the_start() {
    let place = Place::new();
    let _held = std::net::TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    place.answering("one");
    let said = place.run([]);
    let bind = format!("nginx: [emerg] bind() to 127.0.0.1:{} failed (98: Address already in use)\n", place.port);
    assert_eq!((said.code, said.stderr), (1, bind.repeat(5) + "nginx: [emerg] still could not bind()\n"));
    assert!(!exists(&place.path("nginx.pid")));
}

#[test]
fn a_pid_file_that_cannot_be_written_stops_the_start() {
    let place = Place::new();
    let http = format!("server {{ listen 127.0.0.1:{}; return 200 one; }}", place.port);
    let text = configuration("", &http).replace("pid nginx.pid", "pid missing/nginx.pid");
    place.write("nginx.conf", &text);
    let said = place.run([]);
    let pid = place.path("missing/nginx.pid").display().to_string();
    let message = format!("nginx: [emerg] open() \"{pid}\" failed (2: No such file or directory)\n");
    assert_eq!((said.code, said.stderr), (1, message));
    assert!(Client::try_connect(place.port).is_err());
}

#[test]
fn a_worker_of_root_is_the_configured_user() {
    if !is_root() {
        return;
    }
    for (main, uid, gid) in [("user daemon;", 1, 1), ("user nobody daemon;", NOBODY, 1), ("", NOBODY, NOBODY)] {
        let place = Place::new();
        place.configure(main, &format!("server {{ listen 127.0.0.1:{}; return 200 one; }}", place.port));
        let nginx = place.start();
        let ids = |id: u32| Some([id.to_string().as_str(); 4].join("\t"));
        assert_eq!((status(nginx.worker(), "Uid"), status(nginx.worker(), "Gid")), (ids(uid), ids(gid)));
        assert_eq!(status(nginx.worker(), "Groups"), Some(gid.to_string()), "root's groups are gone");
        assert_eq!(status(nginx.worker(), "CapEff").as_deref(), Some("0000000000000000"));
        assert_eq!(status(nginx.master(), "Uid"), ids(0));
        assert_eq!(nginx.place.path("temp").metadata().unwrap().uid(), uid);
    }
}

#[test]
fn a_worker_takes_on_limits_folder_and_environment() {
    let place = Place::new();
    let folder = place.path("").canonicalize().unwrap();
    let main =
        format!("worker_rlimit_nofile 1234; working_directory {}; env PATH; env GREETING=hello;", folder.display());
    place.configure(&main, &format!("server {{ listen 127.0.0.1:{}; return 200 one; }}", place.port));
    let nginx = place.start();
    let worker = nginx.worker();
    let limits = fs::read_to_string(format!("/proc/{worker}/limits")).unwrap();
    let files: Vec<_> =
        limits.lines().find(|line| line.starts_with("Max open files")).unwrap().split_whitespace().collect();
    assert_eq!(files[3..5], ["1234", "1234"]);
    assert_eq!(fs::read_link(format!("/proc/{worker}/cwd")).unwrap(), folder);
    // The area that the kernel shows as environment holds the title and what is behind it.
    let shown = fs::read(format!("/proc/{worker}/environ")).unwrap();
    assert!(!shown.windows(5).any(|bytes| bytes == b"HOME="), "a worker keeps nothing of its starter");
}

#[test]
fn more_connections_than_files_are_warned_of() {
    let place = Place::new();
    place.answering("one");
    let shell = |more: &str| {
        let program = place.command([]);
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -n 100; exec \"$@\" {more}"), "sh"]).arg(program.get_program());
        Said::of(command.args(program.get_args()).env("RNGINX_LAYOUT", "source").output().unwrap())
    };
    let warning = |limit| format!("[warn] 512 worker_connections exceed open file resource limit: {limit}");
    assert_eq!(shell("-tq").stderr, format!("nginx: {}\n", warning(100)));
    assert_eq!(shell("-tq -g 'worker_rlimit_nofile 200;'").stderr, format!("nginx: {}\n", warning(200)));
    assert_eq!(shell("-tq -g 'worker_rlimit_nofile 1000;'").stderr, "");
    let said = shell("");
    let nginx = place.running();
    assert_eq!((said.code, said.stderr), (0, format!("nginx: {}\n", warning(100))));
    assert_eq!(nginx.answer(), "one");
    nginx.reload();
    assert_eq!(nginx.place.messages().iter().filter(|message| **message == warning(100)).count(), 3);
}

#[test]
fn a_worker_takes_on_priority_and_processors() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    let server = format!("server {{ listen 127.0.0.1:{}; return 200 one; }}", place.port);
    let main = "worker_processes 2; worker_cpu_affinity 01 01; worker_priority -5; worker_rlimit_core 1m; \
                lock_file logs/nginx.lock; timer_resolution 100ms; thread_pool one threads=4;";
    place.configure(main, &server);
    let nginx = place.start();
    assert_eq!(nginx.answer(), "one");
    let worker = nginx.worker();
    let stat = fs::read_to_string(format!("/proc/{worker}/stat")).unwrap();
    let nice = stat.rsplit(") ").next().unwrap().split(' ').nth(16);
    assert_eq!(nice, Some("-5"));
    let limits = fs::read_to_string(format!("/proc/{worker}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("1048576"));
    let threads = fs::read_dir(format!("/proc/{worker}/task")).unwrap().flatten();
    let on_first = |status: &String| status.contains("\nCpus_allowed_list:\t0\n");
    let statuses = threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok());
    assert_eq!(statuses.filter(on_first).count(), 2, "one thread for each of `worker_processes`");
}

#[test]
fn a_plain_user_can_run_it() {
    let place = Place::of_nobody();
    place.answering("one");
    let nginx = place.start_as_nobody();
    assert_eq!(nginx.answer(), "one");
    assert_eq!(status(nginx.worker(), "Uid"), status(nginx.master(), "Uid"));
    nginx.end(libc::SIGQUIT);
    assert!(!exists(&nginx.place.path("nginx.pid")));
}

#[test]
fn a_plain_user_runs_a_site_with_nothing_but_its_file() {
    let place = Place::of_nobody();
    place.write("shop.conf", &format!("server {{ listen 127.0.0.1:{}; return 200 shop; }}", place.port));
    let mut command = Command::new(env!("CARGO_BIN_EXE_rnginx"));
    command.args(["-c", "shop.conf"]).current_dir(place.path("")).env("XDG_STATE_HOME", place.path("state"));
    let said = Said::of(as_nobody(&mut command).output().unwrap());
    assert_eq!(said.code, 0, "{}", said.stderr);
    let pid: i32 = place.read("state/rnginx/shop/logs/nginx.pid").trim().parse().unwrap();
    let answer = Client::connect(place.port).get("/");
    kill(pid, libc::SIGTERM);
    eventually("its end", || (!is_alive(pid)).then_some(()));
    assert_eq!(answer, "shop");
    assert!(place.path("state/rnginx/shop/logs/access.log").exists());
    assert!(said.stderr.contains("shop.conf holds sites only"), "{}", said.stderr);
    assert!(said.stderr.contains(&format!("temporary files stand in {}", place.path("state/rnginx/shop/").display())));
}

#[test]
fn a_unix_socket_goes_with_its_master() {
    let place = Place::new();
    let socket = place.path("socket");
    place.configure("", &format!("server {{ listen unix:{}; return 200 one; }}", socket.display()));
    let nginx = place.start();
    assert!(exists(&socket));
    nginx.end(libc::SIGTERM);
    assert!(!exists(&socket));
}

#[test]
fn called_as_nginx_it_is_nginx() {
    let place = Place::new();
    let link = place.path("nginx");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_rnginx"), &link).unwrap();
    place.answering("one");
    let nginx = place.with_binary(link).start();
    for pid in [nginx.master(), nginx.worker()] {
        assert_eq!(status(pid, "Name").as_deref(), Some("nginx"));
    }
    // Debian's scripts stop it so.
    let daemon = "/sbin/start-stop-daemon";
    if exists(daemon.as_ref()) {
        let (master, worker) = (nginx.master(), nginx.worker());
        let mut stop = Command::new(daemon);
        stop.args(["--stop", "--quiet", "--retry", "QUIT/5", "--name", "nginx", "--pidfile"]);
        assert!(stop.arg(nginx.place.path("nginx.pid")).status().unwrap().success());
        assert!(!is_alive(master) && !is_alive(worker));
    }
}
