//! The commands as people run them: what each prints, and how it ends.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/commands")
}

/// Runs a command line in a folder: its exit code, standard output and standard error.
fn run_in(folder: &Path, line: &str, input: &str) -> (i32, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_rnginx"))
        .args(line.split_whitespace())
        .current_dir(folder)
        .env("NO_COLOR", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // A program that reads nothing may be gone already.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    let done = child.wait_with_output().expect("the program ends");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    (done.status.code().expect("an exit code"), text(done.stdout), text(done.stderr))
}

/// `$ rnginx LINE`, what it prints, and its exit code.
fn shown(line: &str) -> String {
    let (code, out, err) = run_in(&folder(), line, "");
    let out = out.replace(&folder().display().to_string(), "/FOLDER");
    let err = if err.is_empty() { String::new() } else { format!("--- stderr\n{err}") };
    format!("$ rnginx {line}\n{out}{err}--- exit {code}\n")
}

fn holds(name: &str, lines: &[&str]) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder().join("snapshots"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let shown: Vec<_> = lines.iter().map(|line| shown(line)).collect();
    settings.bind(|| insta::assert_snapshot!(name, shown.join("\n")));
}

#[test]
fn check_prints_in_five_formats() {
    for format in ["human", "nginx", "json", "sarif", "github"] {
        let line = format!("check --offline --format {format} broken.conf");
        holds(&format!("check-{format}"), &[&line]);
    }
}

#[test]
fn check_knows_where_a_file_stands() {
    holds(
        "check-context",
        &[
            "check --offline upstream.conf",
            "check --offline --context http upstream.conf",
            "check --offline --context upstream upstream.conf",
            "check --offline --context cellar upstream.conf",
        ],
    );
}

#[test]
fn check_reads_folders() {
    holds(
        "check-folder",
        &[
            "check --offline sites",
            "check --offline sites/conf.d",
            "check --offline sites/conf.d/one.conf no-such.conf",
        ],
    );
}

#[test]
fn warnings_can_be_denied() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("a.conf"), "server { listen 80; perl_require x.pm; }\nperl_require y.pm;")
        .expect("a file");
    fs::write(folder.path().join("b.conf"), "events { } http { perl_require y.pm; }").expect("a file");
    assert_eq!(run_in(folder.path(), "check b.conf", "").0, 0);
    let (code, out, _) = run_in(folder.path(), "check --deny warnings b.conf", "");
    assert_eq!(code, 1);
    assert!(out.contains("[emerg] \"perl_require\" directive is known to nginx, not run by rnginx yet"), "{out}");
}

#[test]
fn json_is_json() {
    let (_, out, _) = run_in(&folder(), "check --offline --format json broken.conf upstream.conf", "");
    let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let all = value["diagnostics"].as_array().expect("a list");
    assert!(all.len() > 5);
    for one in all {
        assert!(one["line"].as_u64() >= Some(1) && one["end_column"].as_u64() >= Some(1), "{one}");
        assert!(["error", "warning", "note"].contains(&one["severity"].as_str().expect("a word")), "{one}");
    }
}

#[test]
fn fmt_lays_out() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.conf");
    fs::write(&file, "server{listen  80;# all\n}").expect("a file");
    assert_eq!(run_in(folder.path(), "fmt --check a.conf", ""), (1, "a.conf\n".into(), String::new()));
    assert_eq!(run_in(folder.path(), "fmt a.conf", ""), (0, String::new(), String::new()));
    assert_eq!(fs::read_to_string(&file).expect("a file"), "server {\n    listen 80; # all\n}\n");
    assert_eq!(run_in(folder.path(), "fmt --check .", ""), (0, String::new(), String::new()));
    assert_eq!(run_in(folder.path(), "fmt --indent 2 -", "a{b c;}").1, "a {\n  b c;\n}\n");
    let (code, out, err) = run_in(folder.path(), "fmt -", "a {\n b");
    assert_eq!((code, out.as_str()), (1, ""));
    assert_eq!(err, "nginx: [emerg] unexpected end of file, expecting \";\" or \"}\" in -:2\n");
}

#[test]
fn nginx_flags_are_still_nginx_flags() {
    let (code, _, err) = run_in(&folder(), "-z", "");
    assert_eq!((code, err.as_str()), (1, "nginx: invalid option: \"z\"\n"));
    let (code, _, err) = run_in(&folder(), "reload", "");
    assert_eq!((code, err.as_str()), (1, "nginx: invalid option: \"reload\"\n"));
}

#[test]
fn explain_tells_a_request_s_way() {
    holds(
        "explain",
        &[
            "explain -c shop/shop.conf http://www.example.com/static/app.css",
            "explain -c shop/shop.conf http://example.com/old/x.php",
            "explain -c shop/shop.conf http://example.com/try/this",
            "explain -c shop/shop.conf http://example.com/try/inner/x",
            "explain -c shop/shop.conf http://example.com/api/users?x=1",
            "explain -c shop/shop.conf http://www2.example.net/nowhere",
            "explain -c shop/shop.conf --from 10.1.1.1 http://example.com/media/a",
            "explain -c shop/shop.conf -X POST -H Content-Length:5000000 http://example.com/api/",
            "explain -c shop/shop.conf http://192.0.2.1/",
            "explain -c shop/shop.conf /exact",
            "explain -c shop/shop.conf -H Host:a\"b /exact",
        ],
    );
    holds("explain-json", &["explain --format json -c shop/shop.conf http://example.com/try/this"]);
    holds(
        "explain-faults",
        &[
            "explain -c shop/shop.conf http://example.com:81/",
            "explain -c shop/shop.conf ftp://a/",
            "explain -c broken.conf /",
        ],
    );
}

#[test]
fn dump_shows_what_is_in_force() {
    holds("dump", &["dump shop/shop.conf", "dump --format json sites/nginx.conf"]);
}

#[test]
fn diff_compares_meanings() {
    holds("diff", &["diff before.conf after.conf", "diff before.conf before.conf", "diff before.conf no-such.conf"]);
    holds("diff-json", &["diff --format json before.conf after.conf"]);
}

#[test]
fn rules_are_listed_and_shown() {
    let (code, out, _) = run_in(&folder(), "rules", "");
    let first = out.lines().next().and_then(|line| line.split_whitespace().next()).expect("a rule");
    assert_eq!(code, 0);
    let (code, page, _) = run_in(&folder(), &format!("rules {first}"), "");
    assert!(code == 0 && page.starts_with(&format!("# {first}\n")), "{page}");
    let (code, _, err) = run_in(&folder(), "rules alias-traversel", "");
    assert_eq!(
        (code, err.as_str()),
        (2, "rnginx rules: there is no rule alias-traversel: did you mean alias-traversal?\n")
    );
}

/// A shell that is not on this machine is not asked.
fn shell(name: &str, arguments: &[&str], script: &str) -> Option<String> {
    let child =
        Command::new(name).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.ok()?;
    child.stdin.take().expect("a pipe").write_all(script.as_bytes()).expect("the shell reads");
    let done = child.wait_with_output().expect("the shell ends");
    assert!(done.status.success() && done.stderr.is_empty(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
    Some(String::from_utf8(done.stdout).expect("text"))
}

#[test]
fn shells_take_the_completions() {
    let script = |shell: &str| run_in(&folder(), &format!("completions {shell}"), "").1;
    let ask = |words: &str, at: usize| {
        let asked =
            format!("{}\nCOMP_WORDS=({words}) COMP_CWORD={at}; _rnginx; echo \"${{COMPREPLY[@]}}\"", script("bash"));
        shell("bash", &["--norc"], &asked)
    };
    if let Some(said) = ask("rnginx ''", 1) {
        assert!(said.starts_with("check fmt explain dump diff rules"), "{said}");
        assert_eq!(ask("rnginx check --format ''", 3).as_deref(), Some("human nginx json sarif github\n"));
        assert_eq!(ask("rnginx check --of", 2).as_deref(), Some("--offline\n"));
        assert_eq!(ask("rnginx -t -s re", 3).as_deref(), Some("reopen reload\n"));
    }
    shell("zsh", &["-n"], &script("zsh"));
    shell("fish", &["--no-execute"], &script("fish"));
    assert_eq!(run_in(&folder(), "completions tcsh", "").0, 2);
}

#[test]
fn the_manual_names_every_command() {
    let (code, page, _) = run_in(&folder(), "man", "");
    assert!(code == 0 && page.starts_with(".TH RNGINX 8"));
    for command in ["check", "fmt", "explain", "dump", "diff", "rules", "lsp", "completions", "man"] {
        assert!(page.contains(&format!("\n.SS {command}\n")), "{command}");
    }
    if let Some(shown) = shell("groff", &["-man", "-Tutf8", "-Kutf8", "-Wbreak", "-"], &page) {
        assert!(shown.contains("the configuration has errors") || shown.len() > 4000);
    }
}

#[test]
fn check_mends_what_is_surely_meant() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("a.conf");
    fs::write(&file, "server {\n    listen 80;\n    index index.html\n    server_name a.test;\n}\n").expect("a file");
    let (_, out, told) = run_in(folder.path(), "check --offline --fix a.conf", "");
    assert_eq!(told, "a.conf:3: add the missing `;`\n");
    assert!(!out.contains("index"), "{out}");
    let mended = "server {\n    listen 80;\n    index index.html;\n    server_name a.test;\n}\n";
    assert_eq!(fs::read_to_string(&file).expect("a file"), mended);
    assert_eq!(run_in(folder.path(), "check --offline --fix a.conf", "").2, "");
}

/// Sockets, folders and upstreams as they are on this machine.
#[test]
fn the_machine_is_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().display();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let free = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port").port();
    let socket = folder.path().join("alive.sock");
    let _alive = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let text = format!(
        "upstream app {{ server unix:{root}/alive.sock; server unix:{root}/none.sock; server 127.0.0.1:{free}; }}\n\
         server {{\n listen 127.0.0.1:{port};\n root {root}/missing;\n access_log {root}/logs/a.log;\n location / {{ proxy_pass http://app; }}\n}}\n"
    );
    fs::write(folder.path().join("a.conf"), text).expect("a file");
    let (code, out, _) = run_in(folder.path(), "check --system --format json a.conf", "");
    let value: serde_json::Value = serde_json::from_str(&out).expect("JSON");
    let all = value["diagnostics"].as_array().expect("a list").iter();
    let found: Vec<_> =
        all.filter_map(|one| Some((one["code"].as_str()?, one["line"].as_u64()?, one["help"].as_str()?))).collect();
    let has = |code: &str, line: u64, help: &str| {
        assert!(found.iter().any(|one| one.0 == code && one.1 == line && one.2.contains(help)), "{code}: {found:?}");
    };
    assert_eq!(code, 0);
    has("port-taken", 3, "ss -ltnp");
    has("missing-folder", 5, &format!("mkdir -p {root}/logs"));
    has("upstream-down", 1, "ss -ltn");
    assert!(out.contains("none.sock") && !out.contains("behind alive.sock"), "{out}");
    assert!(found.iter().any(|one| one.0 == "root-unreadable" && one.1 == 4), "{found:?}");
}

/// What can be read only once is a configuration too.
#[test]
fn the_standard_input_and_pipes_are_read() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = |line: &str, input: &str| run_in(folder.path(), line, input);
    let (code, out, _) = said("check -", "server {\n listen 80;\n root a b;\n}\n");
    assert_eq!(code, 1);
    assert!(out.starts_with("nginx: [emerg] invalid number of arguments in \"root\" directive in -:3\n"), "{out}");
    assert_eq!(said("check /dev/stdin", "server { listen 80; }\n").0, 0);
    assert!(said("dump -", "server { listen 80; }\n").1.contains("listen 80; # -:1"));
    assert!(said("explain -c - http://a/", "server { listen 80; return 204; }\n").1.contains("204"));
    let (code, out, err) = said("check --fix -", "server { listen 80 }\n");
    assert_eq!((code, out.as_str(), err.as_str()), (2, "", "rnginx check: --fix changes files, and this is none\n"));
}

/// Texts in other encodings are named as what they are, and no byte of them commands the terminal.
#[test]
fn what_is_no_text_is_told_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let wide: Vec<u8> = "server { listen 80; bogus; }\n".bytes().flat_map(|byte| [byte, 0]).collect();
    fs::write(folder.path().join("wide.conf"), [&b"\xff\xfe"[..], &wide].concat()).expect("a file");
    fs::write(folder.path().join("color.conf"), "bo\u{1b}[31mgus;\nserver { listen 80; }\n").expect("a file");
    let (code, out, _) = run_in(folder.path(), "check --format human wide.conf color.conf", "");
    assert_eq!((code, out.matches("unknown directive").count()), (1, 2), "{out}");
    assert!(out.contains("this file is in UTF-16") && out.contains("iconv -f UTF-16 -t UTF-8 wide.conf"), "{out}");
    assert!(out.contains("bo?[31mgus") && !out.contains(['\u{1b}', '\0']), "{out}");
}

#[test]
fn certificates_are_looked_at() {
    let folder = tempfile::tempdir().expect("a folder");
    let made = Command::new("openssl")
        .args("req -x509 -newkey rsa:2048 -nodes -keyout k.pem -out c.pem -days 5 -subj /CN=a.test -addext".split(' '))
        .arg("subjectAltName=DNS:a.test,DNS:*.b.test")
        .current_dir(folder.path())
        .output();
    if !made.is_ok_and(|made| made.status.success()) {
        return;
    }
    let text = "server {\n listen 127.0.0.1:1 ssl;\n server_name a.test www.b.test c.test;\n ssl_certificate c.pem;\n \
                ssl_certificate_key k.pem;\n}\n";
    fs::write(folder.path().join("a.conf"), text).expect("a file");
    let (code, out, _) = run_in(folder.path(), "check --system a.conf", "");
    assert_eq!(code, 0, "{out}");
    let about: Vec<_> = out.lines().filter(|line| line.contains("the certificate")).collect();
    assert_eq!(about.len(), 2, "{out}");
    assert_eq!(about[0], "nginx: [warn] the certificate does not hold for c.test in a.conf:3");
    assert!(about[1].contains("c.pem ends on ") && about[1].ends_with(" in a.conf:4"), "{out}");
    let (_, out, _) = run_in(folder.path(), "explain -c a.conf https://a.test:1/", "");
    assert!(out.contains("its name a.test is the host's") && !out.contains("400"), "{out}");
    let (_, out, _) = run_in(folder.path(), "explain -c a.conf http://a.test:1/", "");
    assert!(out.contains("it speaks TLS, and a request without it gets 400"), "{out}");
}
