//! What is said is written down: every code of a diagnostic has its row in `docs/diagnostics.md`, and every sentence stands in
//! some snapshot, so that somebody has seen it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use fancy_regex::Regex;

/// Sentences that no case can bring about, or not in every place where the tests run.
const UNSEEN: &[(&str, &str)] = &[
    ("this text cannot be laid out anew", "a fault of ours, which the tests of the layout look for"),
    ("getpwnam(\"{name}\") failed ({error})", "takes a system whose user database is broken"),
    ("getpwnam(\"nobody\") failed", "takes a system without nobody"),
    ("SSL_CTX_new() failed", "takes a library that is broken"),
    (" using \"", "written to the log while a request is served"),
    ("pcre2_match() failed", "written to the log while a request is served"),
    ("client sent no", "written to the log while a request is served"),
    ("too many SSI command parameters", "written to the log while a request is served"),
    ("etag mismatch in slice response", "written to the log while a request is served"),
    ("super-user privileges", "takes a master that is not root"),
    ("resolving names at run time", "has a case whose nginx has no such module"),
    ("is known to nginx, not run by rnginx yet", "goes away when it is run"),
    ("cannot be loaded: rnginx loads no C modules", "goes away when it is run"),
    ("leaves nothing that rnginx speaks", "ours, where nginx says nothing"),
    ("error:0A0000B9", "a part of OpenSSL's sentence"),
    ("error:0A0001", "a part of OpenSSL's sentence"),
    ("SSL_CONF_cmd(", "OpenSSL's own words follow, another version's are other ones"),
    ("SSL_CTX_use_PrivateKey(", "OpenSSL's own words follow, another version's are other ones"),
    ("PEM_read_bio_Parameters(", "OpenSSL's own words follow, another version's are other ones"),
    ("\"ssl_stapling\" ignored", "depends on the certificate"),
    ("invalid ipv6only flags", "nginx has it, and reads `ipv6only=` before it can be wrong"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in fs::read_dir(folder).expect("a folder").filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.extension().is_some_and(|extension| extension == ending) {
            found.push(path);
        }
    }
    found
}

/// The sources that make diagnostics, without their comments and tests.
fn sources() -> Vec<(String, String)> {
    // What is said of the machine depends on the machine: it has tests of its own.
    let is_of_files = |path: &PathBuf| !path.components().any(|part| part.as_os_str() == "system");
    let rooms = ["syntax", "schema", "format", "load", "check", "conf", "modules", "cycle", "inspect"];
    let all = rooms.iter().flat_map(|room| files(&root().join("src").join(room), "rs"));
    let read = all.filter(|path| !path.ends_with("tests.rs") && is_of_files(path)).map(|path| {
        let text = fs::read_to_string(&path).expect("a source file");
        let code = text.split("#[cfg(test)]").next().unwrap_or_default().lines();
        let code: Vec<_> = code.filter(|line| !line.trim_start().starts_with("//")).collect();
        (path.strip_prefix(root()).expect("a file of ours").display().to_string(), code.join("\n"))
    });
    read.collect()
}

fn regex(pattern: &str) -> Regex {
    Regex::new(pattern).expect("a pattern of ours")
}

/// The text from behind a bracket to the one that closes it.
fn inside(text: &str) -> &str {
    let (mut depth, mut quoted, mut escaped) = (1, false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'(' | b'[' | b'{' if !quoted => depth += 1,
            b')' | b']' | b'}' if !quoted => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return &text[..at];
        }
    }
    text
}

/// What a literal stands for.
fn plain(literal: &str) -> String {
    regex(r"\\\n\s*").replace_all(literal, "").replace("\\\"", "\"").replace("\\\\", "\\")
}

#[test]
fn every_code_has_a_row() {
    let makes = r#"(?:Diagnostic::(?:error|warning|note)|\b(?:error|warning|note|fault|wrong|invalid))\(\s*(?:[^"(),]*,\s*|[^"(),]*\([^()]*\),\s*)?"([a-z0-9]+(?:-[a-z0-9]+)*)"\s*,"#;
    let makes = regex(makes);
    let known: BTreeSet<_> = rnginx::diag::CODES.iter().map(|row| row.code).collect();
    let mut missing = BTreeMap::new();
    for (name, text) in sources() {
        for found in makes.captures_iter(text.as_str()).filter_map(Result::ok) {
            let code = found.get(1).map_or("", |code| code.as_str()).to_owned();
            if !known.contains(code.as_str()) {
                missing.insert(code, name.clone());
            }
        }
    }
    assert!(
        missing.is_empty(),
        "give these a row in src/diag/codes.rs, and RNGINX_WRITE=1 cargo test --lib documentation: {missing:#?}"
    );
}

/// The sentences of diagnostics, with the file that each stands in.
fn sentences() -> BTreeMap<String, String> {
    let calls = regex(
        r"(?:Diagnostic::(?:error|warning|note)|args\.(?:error|warning)|\bfault|\bFault|sentence|of_directive|invalid|\bwarning|Said::\w+|\brefuse\w*|\bwrong)\(",
    );
    let literal = regex(r#""((?:[^"\\]|\\.|\\\n)*)""#);
    let named = regex(r#"let (?:message|sentence) =\s*(?:\|[^|]*\|\s*)?(?:format!\()?\s*"((?:[^"\\]|\\.|\\\n)*)""#);
    let mut all = BTreeMap::new();
    for (name, text) in sources() {
        let inside_calls =
            calls.find_iter(text.as_str()).filter_map(Result::ok).map(|call| inside(&text[call.end()..]));
        let in_calls = inside_calls.flat_map(|text| literal.captures_iter(text).filter_map(Result::ok));
        let found = in_calls.chain(named.captures_iter(text.as_str()).filter_map(Result::ok));
        for sentence in found.filter_map(|found| Some(plain(found.get(1)?.as_str()))) {
            if sentence.contains(' ') {
                all.insert(sentence, name.clone());
            }
        }
    }
    all
}

/// A sentence as it is found in a snapshot: anything for what is put into it.
fn pattern(sentence: &str) -> Regex {
    let holes = regex(r"\{[^{}]*\}");
    let text = sentence.replace("{{", "\u{1}").replace("}}", "\u{2}");
    let mut parts = Vec::new();
    let mut at = 0;
    for hole in holes.find_iter(text.as_str()).filter_map(Result::ok) {
        parts.push(fancy_regex::escape(&text[at..hole.start()]).into_owned());
        at = hole.end();
    }
    parts.push(fancy_regex::escape(&text[at..]).into_owned());
    regex(&parts.join(".*?").replace('\u{1}', r"\{").replace('\u{2}', r"\}"))
}

#[test]
fn every_sentence_stands_in_a_snapshot() {
    let snapshots: Vec<_> =
        ["conformance", "tests"].iter().flat_map(|folder| files(&root().join(folder), "snap")).collect();
    let texts: String = snapshots
        .iter()
        .map(|path| String::from_utf8_lossy(&fs::read(path).expect("a snapshot")).into_owned())
        .collect();
    // Snapshots show a backslash twice.
    let texts = texts.clone() + &texts.replace("\\\\", "\\");
    let is_excused = |sentence: &str| UNSEEN.iter().any(|(part, _)| sentence.contains(part));
    let unseen: Vec<_> = sentences()
        .into_iter()
        .filter(|(sentence, _)| !is_excused(sentence) && !pattern(sentence).is_match(&texts).unwrap_or(false))
        .map(|(sentence, file)| format!("{file}: {sentence}"))
        .collect();
    assert!(unseen.is_empty(), "record a case for each of these (conformance/README.md):\n{}", unseen.join("\n"));
}
