//! What nginx says to a command line, and with which code it ends. The words are nginx 1.28.3's, from running it.

use std::process::Command;

use crate::place::{Place, Said, as_nobody, is_root};

fn run(arguments: &[&str]) -> Said {
    Said::of(Command::new(env!("CARGO_BIN_EXE_rnginx")).args(arguments).output().unwrap())
}

#[test]
fn wrong_words_are_refused() {
    let cases: [(&[&str], &str); 11] = [
        (&["-z"], "invalid option: \"z\""),
        (&["-v", "-z"], "invalid option: \"z\""),
        (&["foo"], "invalid option: \"foo\""),
        (&[""], "invalid option: \"\""),
        (&["-c"], "option \"-c\" requires file name"),
        (&["-e"], "option \"-e\" requires file name"),
        (&["-p"], "option \"-p\" requires directory name"),
        (&["-g"], "option \"-g\" requires parameter"),
        (&["-s"], "option \"-s\" requires parameter"),
        (&["-s", "foo"], "invalid option: \"-s foo\""),
        (&["-sfoo"], "invalid option: \"-s foo\""),
    ];
    for (arguments, message) in cases {
        let said = run(arguments);
        assert_eq!((said.code, said.stderr, said.stdout.as_str()), (1, format!("nginx: {message}\n"), ""));
    }
}

#[test]
fn versions_are_told_on_stderr() {
    let version = format!("nginx version: nginx/1.28.3 (rnginx/{})\n", env!("CARGO_PKG_VERSION"));
    let said = run(&["-v"]);
    assert_eq!((said.code, said.stderr.as_str(), said.stdout.as_str()), (0, version.as_str(), ""));
    let said = run(&["-V"]);
    assert_eq!(said.code, 0);
    let arguments = said.stderr.strip_prefix(&version).unwrap();
    assert!(arguments.starts_with(
        "TLS SNI support enabled\nconfigure arguments: --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf"
    ));
    for letter in ["-h", "-?"] {
        let said = run(&[letter]);
        assert_eq!(said.code, 0);
        let help = said.stderr.strip_prefix(&version).unwrap();
        assert!(help.starts_with("Usage: nginx [-?hvVtTq] [-s signal] [-p prefix]\n"), "{help}");
    }
}

#[test]
fn a_good_configuration_is_tested() {
    let place = Place::new();
    place.answering("one");
    let name = place.path("nginx.conf").display().to_string();
    let syntax = format!("nginx: the configuration file {name} syntax is ok\n");
    let good = format!("{syntax}nginx: configuration file {name} test is successful\n");
    let said = place.run(["-t"]);
    assert_eq!((said.code, said.stderr.as_str(), said.stdout.as_str()), (0, good.as_str(), ""));
    let said = place.run(["-tq"]);
    assert_eq!((said.code, said.stderr.as_str(), said.stdout.as_str()), (0, "", ""));
    let said = place.run(["-T"]);
    let dump = format!("# configuration file {name}:\n{}\n", place.read("nginx.conf"));
    assert_eq!((said.code, said.stderr, said.stdout), (0, good, dump));
}

#[test]
fn a_test_opens_what_a_start_would_open_and_leaves_ports_alone() {
    let place = Place::new();
    let held = std::net::TcpListener::bind(("127.0.0.1", place.port)).unwrap();
    place.answering("one");
    assert_eq!(place.run(["-t"]).code, 0);
    for name in ["error.log", "access.log", "nginx.pid", "temp"] {
        assert!(place.path(name).exists(), "{name}");
    }
    assert_eq!(place.read("nginx.pid"), "");
    drop(held);
}

#[test]
fn a_bad_configuration_fails() {
    let place = Place::new();
    place.configure("", "server { bogus; }");
    let name = place.path("nginx.conf").display().to_string();
    let at = place.place_of("bogus");
    for letters in ["-t", "-tq"] {
        let said = place.run([letters]);
        let first = format!("nginx: [emerg] unknown directive \"bogus\" in {at}\n");
        let last = format!("nginx: configuration file {name} test failed\n");
        assert_eq!((said.code, said.stderr), (1, first + &last));
    }
    assert!(place.messages().contains(&format!("[emerg] unknown directive \"bogus\" in {at}")));
    let said = place.run([]);
    assert_eq!(said.code, 1);
    assert_eq!(said.stderr, format!("nginx: [emerg] unknown directive \"bogus\" in {at}\n"));
}

#[test]
fn the_command_line_is_a_place_too() {
    let place = Place::new();
    place.answering("one");
    let said = place.run(["-t", "-q", "-g", "bogus;"]);
    assert!(said.stderr.starts_with("nginx: [emerg] unknown directive \"bogus\" in command line\n"), "{}", said.stderr);
    let said = place.run(["-t", "-q", "-g", "pid /nonexistent/pid;"]);
    assert!(said.stderr.contains("[emerg] \"pid\" directive is duplicate in "), "{}", said.stderr);
}

#[test]
fn files_that_cannot_be_opened_are_named() {
    let place = Place::new();
    place.configure("error_log missing/error.log;", "");
    let missing = place.path("missing/error.log").display().to_string();
    let name = place.path("nginx.conf").display().to_string();
    let said = place.run(["-t"]);
    let lines = [
        format!("nginx: the configuration file {name} syntax is ok\n"),
        format!("nginx: [emerg] open() \"{missing}\" failed (2: No such file or directory)\n"),
        format!("nginx: configuration file {name} test failed\n"),
    ];
    assert_eq!((said.code, said.stderr), (1, lines.concat()));
}

#[test]
fn a_missing_file_is_nginx_error() {
    let place = Place::new();
    let name = place.path("nginx.conf").display().to_string();
    let said = place.run([]);
    let expected = format!("nginx: [emerg] open() \"{name}\" failed (2: No such file or directory)\n");
    assert_eq!((said.code, said.stderr), (1, expected));
}

#[test]
fn an_error_log_that_cannot_be_opened_is_stderr() {
    let place = Place::new();
    place.configure("", "server { bogus; }");
    let said = place.run(["-t", "-e", "/nonexistent/error.log"]);
    let mut lines = said.stderr.lines();
    let alert = "nginx: [alert] could not open error log file: open() \"/nonexistent/error.log\" failed \
                 (2: No such file or directory)";
    assert_eq!(lines.next(), Some(alert));
    // nginx's log lines, with their time, and no second copy.
    let line = lines.next().unwrap();
    assert!(line.contains(" [emerg] ") && !line.starts_with("nginx: "), "{line}");
    assert_eq!(lines.count(), 1);
}

#[test]
fn a_signal_needs_a_pid_file() {
    let place = Place::new();
    place.answering("one");
    let pid = place.path("nginx.pid").display().to_string();
    let said = place.run(["-s", "reload"]);
    let missing = format!("nginx: [error] open() \"{pid}\" failed (2: No such file or directory)\n");
    assert_eq!((said.code, said.stderr), (1, missing));
    for text in ["", "\n", "abc\n"] {
        place.write("nginx.pid", text);
        let said = place.run(["-s", "stop"]);
        let message = format!("nginx: [error] invalid PID number \"{}\" in \"{pid}\"\n", text.trim());
        assert_eq!((said.code, said.stderr), (1, message));
    }
    place.write("nginx.pid", "4194305\n");
    let said = place.run(["-s", "quit"]);
    assert_eq!((said.code, said.stderr.as_str()), (1, "nginx: [alert] kill(4194305, 3) failed (3: No such process)\n"));
    assert_eq!(place.messages()[0], "[notice] signal process started");
    std::fs::remove_file(place.path("nginx.pid")).unwrap();
    std::fs::create_dir(place.path("nginx.pid")).unwrap();
    let said = place.run(["-s", "quit"]);
    assert_eq!((said.code, said.stderr), (1, format!("nginx: [crit] pread() \"{pid}\" failed (21: Is a directory)\n")));
}

#[test]
fn a_plain_user_is_told_that_user_means_nothing() {
    let place = Place::of_nobody();
    place.configure("user nobody;", "");
    let at = place.place_of("user");
    let said = Said::of(as_nobody(&mut place.command(["-tq"])).output().unwrap());
    let warning = format!(
        "nginx: [warn] the \"user\" directive makes sense only if the master process runs with super-user privileges, \
         ignored in {at}\n"
    );
    assert_eq!((said.code, said.stderr), (0, warning));
}

#[test]
fn an_unknown_user_is_an_error() {
    if is_root() {
        let place = Place::new();
        place.configure("user no-such-user;", "");
        let said = place.run(["-tq"]);
        assert!(said.stderr.starts_with("nginx: [emerg] getpwnam(\"no-such-user\") failed"), "{}", said.stderr);
        assert_eq!(said.code, 1);
    }
}
