//! Inspections of broken and odd configurations: whatever the text, there is an answer, and its places are in the text.

#[path = "support/samples.rs"]
mod samples;

use samples::{Random, texts};

use rnginx::{
    diag::{Diagnostic, Severity},
    inspect::{Inspection, Options, Outcome, Question, diff, dump, explain, inspect},
    load::{Memory, Origin},
    schema::Context,
};

fn look(text: &[u8], context: Option<Context>) -> Inspection {
    let files = Memory::default().with("/etc/nginx/site.conf", text);
    let look = inspect(&files, &Options { context, offline: true, ..Options::new("/etc/nginx/site.conf") });
    for span in look.diagnostics.iter().flat_map(|said| [said.at, said.nginx_at].into_iter().flatten()) {
        let source = look.loaded.sources.get(span.file);
        assert!(span.start <= span.end && span.end as usize <= source.text.len(), "{}: {span:?}", source.name);
        assert!(source.origin != Origin::File || source.line(span.start) > 0);
    }
    look
}

/// `ROUNDS` says how many configurations are broken.
#[test]
fn broken_configurations_are_survived() {
    const CONTEXTS: [Option<Context>; 6] = [
        None,
        Some(Context::MAIN),
        Some(Context::HTTP),
        Some(Context::LOCATION),
        Some(Context::UPSTREAM),
        Some(Context::MAP),
    ];
    let (texts, mut random) = (texts(), Random(3));
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(150);
    for _ in 0..rounds {
        let (path, text) = &texts[random.below(texts.len())];
        let mut broken = text.clone();
        for _ in 0..1 + random.below(3) {
            let at = random.below(broken.len());
            match random.below(5) {
                0 if !broken.is_empty() => drop(broken.remove(at)),
                1 => broken.insert(at, b";{}#\"'$\\ \n~^@=*"[random.below(15)]),
                2 => broken.truncate(at),
                3 => {
                    let other = &texts[random.below(texts.len())].1;
                    let piece = random.below(other.len());
                    broken.splice(at..at, other[piece..(piece + 40).min(other.len())].iter().copied());
                }
                _ => drop(broken.drain(at..(at + random.below(30)).min(broken.len()))),
            }
        }
        let context = CONTEXTS[random.below(CONTEXTS.len())];
        let seen = std::panic::catch_unwind(|| {
            let one = look(&broken, context);
            let same = look(&broken, context);
            assert_eq!(diff(&one, &same), vec![]);
            dump(&one);
            // Most have no server that could be asked.
            let _ = explain(one, &Question::new("/a/b.php?c=d"));
        });
        assert!(seen.is_ok(), "{} broken as\n{}", path.display(), String::from_utf8_lossy(&broken));
    }
}

#[test]
fn what_is_cut_short_is_not_run() {
    for text in [
        "events {}\nhttp {\n    upstream",
        "http { server { location",
        "http { map $a",
        "http { limit_except",
        "http { server { if",
    ] {
        assert!(look(text.as_bytes(), Some(Context::MAIN)).has_errors(), "{text}");
    }
}

#[test]
fn a_request_may_be_anything() {
    let text =
        b"server { listen 80; server_name a.test; location / { return 200 $uri$args; } location ~ (x+x+)+y { } }";
    let urls = [
        "/",
        "",
        "http://",
        "http://a.test",
        "http://a.test:99999/",
        "http://[::1]/",
        "//a//../b/%2e%2e/",
        "/%",
        "/\u{0}",
        "a.test/é?é",
        "HTTP://A.TEST/x",
        "http://u:p@a.test/",
        "/a b",
        "https://a.test/",
        "http://a.test:80x/",
        "/xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ];
    for url in urls {
        for (method, headers) in
            [("GET", vec![]), ("G T", vec!["no header".to_owned()]), ("POST", vec!["Content-Length: x".into()])]
        {
            // An answer or a fault, and no panic.
            let _ = explain(look(text, None), &Question { method: method.into(), headers, ..Question::new(url) });
        }
    }
}

/// `warning[code] 3: what is said`, and how to mend it.
fn said(look: &Inspection) -> String {
    let one = |said: &Diagnostic| {
        let kind = match said.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let line = said.at.map_or(0, |at| look.loaded.sources.line(at));
        let help = said.help.as_ref().map_or(String::new(), |help| format!("    help: {help}\n"));
        format!("{kind}[{}] {line}: {}\n{help}", said.code, said.message)
    };
    look.diagnostics.iter().map(one).collect()
}

/// What only an inspection says: of files that stand alone, of what was not looked at, of what has no effect here.
#[test]
fn what_is_taken_for_granted_is_said() {
    let site = "server {\n    listen 443 ssl;\n    ssl_certificate a.pem;\n    ssl_certificate_key a.key;\n    \
                ssl_ciphers ECDHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256;\n    access_log /l ours;\n    \
                set $mine $scheem;\n    return 301 https://$elsewhere/$mine;\n    location /a {\n        proxy_cache kept;\n        \
                proxy_pass http://app.test;\n        include other.conf;\n    }\n}\nserver {\n    listen 444 ssl;\n    \
                ssl on;\n    ssl_certificate a.pem;\n    ssl_certificate_key a.key;\n    ssl_protocols SSLv3;\n}\n";
    let text = said(&look(site.as_bytes(), None));
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/inspect"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("taken-for-granted", text));
}

fn codes(look: &Inspection) -> Vec<&str> {
    look.diagnostics.iter().map(|said| said.code).collect()
}

/// A part's relative names stand under the folder of the `nginx.conf` that includes it.
#[test]
fn a_part_has_its_home_where_the_main_file_is() {
    let site = "server {\n    listen 80;\n    include snippets/one.conf;\n}\n";
    let files = Memory::default()
        .with("/etc/nginx/nginx.conf", "events { }\nhttp { include sites-enabled/*; }\n")
        .with("/etc/nginx/snippets/one.conf", "sever_name a;\n")
        .with("/etc/nginx/sites-enabled/a", site)
        .with("/srv/a.conf", site);
    let at = |path: &str| inspect(&files, &Options { offline: true, ..Options::new(path) });
    assert_eq!(codes(&at("/etc/nginx/sites-enabled/a"))[0], "unknown-directive");
    assert_eq!(codes(&at("/srv/a.conf"))[0], "missing-include");
    assert_eq!(codes(&at("/etc/nginx/nginx.conf"))[0], "unknown-directive");
}

/// A snippet of a server's directives is not asked for what its server has elsewhere.
#[test]
fn a_part_of_a_server_needs_no_certificate() {
    assert_eq!(codes(&look(b"listen 443 ssl;\n", None)), ["supplied"]);
    assert!(codes(&look(b"server { listen 443 ssl; }\n", None)).contains(&"no-certificate"));
}

/// What a file that cannot be read may hold is not missed.
#[test]
fn what_may_stand_in_an_unread_file_is_not_missed() {
    let site = |include: &str| {
        format!("server {{\n listen 80;\n location / {{\n {include}\n proxy_pass http://10.0.0.1:80;\n }}\n}}\n")
    };
    let has = |text: &str| codes(&look(text.as_bytes(), None)).contains(&"forwarded-for-missing");
    assert!(has(&site("")) && has(&site("include mime.types;")));
    assert!(!has(&site("include proxy_headers.conf;")));
    let elsewhere = format!("{}server {{ listen 81; include other.conf; }}\n", site(""));
    assert!(has(&elsewhere));
}

/// Every module that sends requests on says where to.
#[test]
fn where_a_request_is_sent_is_told() {
    let cases = [
        ("proxy_pass http://127.0.0.1:8000/x/;", "http://127.0.0.1:8000/x/b?c"),
        ("proxy_pass http://unix:/run/app.sock;", "http://unix:/run/app.sock:/a/b?c"),
        ("fastcgi_pass unix:/run/php.sock;", "fastcgi://unix:/run/php.sock"),
        ("fastcgi_pass $host:9000;", "fastcgi://localhost:9000"),
        ("uwsgi_pass 127.0.0.1:8001;", "uwsgi://127.0.0.1:8001"),
        ("scgi_pass app;", "scgi://app"),
        ("grpc_pass grpc://127.0.0.1:50051;", "grpc://127.0.0.1:50051/a/b?c"),
        ("set $memcached_key $uri; memcached_pass 127.0.0.1:11211;", "memcached://127.0.0.1:11211/a/b"),
    ];
    for (pass, sent) in cases {
        let site =
            format!("upstream app {{ server 127.0.0.1:9; }}\nserver {{ listen 80; location /a/ {{ {pass} }} }}\n");
        let explained = explain(look(site.as_bytes(), None), &Question::new("/a/b?c")).expect("a sound site");
        let Outcome::Sent { to, .. } = explained.end else { panic!("{pass}: {:?}", explained.end) };
        assert_eq!(to.as_deref(), Some(sent), "{pass}");
    }
}

/// Servers that share an address and a name are told apart, each by itself.
#[test]
fn nothing_differs_from_itself() {
    let texts = [
        "server { location / { } }\nserver { listen 127.0.0.1:8080; listen 80; location /a { } }\n",
        "server { listen 80; listen 81; root /a; }\nserver { listen 81; listen 80; root /b; }\n",
        "server { listen 80; server_name a b; }\nserver { listen 80; server_name b c; }\nserver { listen 80; server_name c a; }\n",
    ];
    for text in texts {
        let look = || look(text.as_bytes(), None);
        assert_eq!(diff(&look(), &look()), vec![], "{text}");
    }
}
