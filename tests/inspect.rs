//! Inspections of broken and odd configurations: whatever the text, there is an answer, and its places are in the text.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rnginx::{
    inspect::{Inspection, Options, Question, diff, dump, explain, inspect},
    load::{Memory, Origin},
    schema::Context,
};

fn collect(folder: &Path, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            collect(&path, found);
        } else if path.extension().is_some_and(|end| end == "conf") {
            found.extend(fs::read(&path).ok().map(|text| (path, text)));
        }
    }
}

/// Every configuration of the project, sorted.
fn texts() -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["conformance", "tests", "examples"] {
        collect(&root.join(folder), &mut found);
    }
    found.sort();
    found
}

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

/// The same numbers each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }
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
