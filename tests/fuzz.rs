//! Broken configurations without end: whatever is fed to it, nothing panics, `fmt` keeps tokens and is done after one time,
//! repairs come to an end and break nothing, places stand inside the texts.
//!
//! `cargo test --test fuzz` takes some seconds and does the same each time. `RNGINX_FUZZ_SECONDS=600` goes on for so long, from
//! another beginning unless `RNGINX_FUZZ_SEED` says which; `CORPUS` names a folder with more texts to begin with.

#[path = "fuzz/editor.rs"]
mod editor;
#[path = "fuzz/texts.rs"]
mod texts;

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
    process::Command,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use rnginx::{
    diag::{Diagnostic, FileId, Severity, Span},
    format::{Style, format},
    inspect::{Inspection, Options, Question, diff, dump, explain, inspect, repair},
    lint::lint,
    load::{Memory, sentence},
    schema::Context,
    syntax::{parse, tokens},
};
use texts::{Random, Texts};

/// Texts in a short run.
const SHORT: usize = 40;

/// So many more are only read, which takes little time.
const READ_MORE: usize = 20;

/// Repairs that lead to repairs: more rounds than this and they go round.
const ROUNDS: usize = 64;

const FILE: &str = "/etc/nginx/conf.d/a.conf";
const OTHER: &str = "/etc/nginx/conf.d/b.conf";

/// How long a run goes on.
struct Budget {
    until: Option<Instant>,
    done: usize,
    short: usize,
}

impl Budget {
    /// A share of the time that is given, or so many rounds without any.
    fn new(share: f64, short: usize) -> Self {
        let seconds = std::env::var("RNGINX_FUZZ_SECONDS").ok().and_then(|text| text.parse::<f64>().ok());
        Self { until: seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds * share)), done: 0, short }
    }

    fn go_on(&mut self) -> bool {
        let more = self.until.map_or(self.done < self.short, |until| Instant::now() < until);
        self.done += usize::from(more);
        more
    }
}

fn seed() -> u64 {
    if let Some(seed) = std::env::var("RNGINX_FUZZ_SEED").ok().and_then(|text| text.parse().ok()) {
        return seed;
    }
    let long = std::env::var_os("RNGINX_FUZZ_SECONDS").is_some();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_nanos() as u64;
    if long { now } else { 1 }
}

/// Runs a check of one text; a text that breaks it is written down.
fn survive(what: &str, text: &[u8], check: impl FnOnce()) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(check)) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("fuzz-{what}-{}.conf", std::process::id()));
        fs::write(&path, text).expect("the text can be written down");
        eprintln!("{what}: the text is in {}", path.display());
        std::panic::resume_unwind(panic);
    }
}

/// Every place of a diagnostic stands in its text.
fn stands(look: &Inspection, said: &Diagnostic) {
    let edits = said.fix.iter().flat_map(|fix| fix.edits.iter().map(|edit| edit.span));
    let related = said.related.iter().map(|(span, _)| *span);
    let places = [said.at, said.nginx_at, said.met_at].into_iter().flatten().chain(related).chain(edits);
    for Span { file, start, end } in places {
        let length = look.loaded.sources.get(file).text.len();
        assert!(start <= end && end as usize <= length, "{said:?} stands outside of {length} bytes");
    }
    assert!(!sentence(&look.loaded.sources, said).is_empty(), "{said:?} says nothing");
}

fn words(text: &[u8]) -> Vec<&[u8]> {
    tokens(text).iter().map(|token| token.text).collect()
}

fn syntax_faults(text: &[u8]) -> usize {
    parse(FileId::default(), text).1.len()
}

/// Lexer, parser and formatter.
fn read(text: &[u8]) {
    let mut end = 0;
    for token in tokens(text) {
        assert!(token.start >= end && token.end() <= text.len(), "{token:?} stands behind {end}");
        assert!(text[end..token.start].iter().all(u8::is_ascii_whitespace), "something is between two tokens");
        end = token.end();
    }
    let (_, faults) = parse(FileId::default(), text);
    let sound = faults.is_empty();
    match format(text, Style::default()) {
        Ok(once) => {
            assert!(words(&once) == words(text), "a token changed");
            assert!(format(&once, Style::default()).as_ref() == Ok(&once), "a second time changes it");
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            // Where it is sound to the parser, only a brace inside a word hinders.
            assert!(!sound || faults.iter().all(|fault| fault.code != "layout"), "{faults:?}");
        }
    }
}

fn options(random: &mut Random) -> Options {
    let contexts = [
        Context::MAIN,
        Context::HTTP,
        Context::SERVER,
        Context::LOCATION,
        Context::UPSTREAM,
        Context::TYPES,
        Context::MAP,
        Context::STREAM,
    ];
    let context = (random.below(3) == 0).then(|| contexts[random.below(contexts.len())]);
    Options { context, offline: true, to_run: random.below(2) == 0, ..Options::new(FILE) }
}

/// Checker, rules, what is in force, and what becomes of requests.
fn look(text: &[u8], other: &[u8], random: &mut Random) {
    let files = || Memory::default().with(FILE, text).with(OTHER, other);
    let options = options(random);
    let look = inspect(&files(), &options);
    look.diagnostics.iter().for_each(|said| stands(&look, said));
    let doubts = lint(&look.loaded, &[]);
    assert!(doubts.iter().all(|one| one.severity != Severity::Error), "a rule found an error");
    doubts.iter().for_each(|said| stands(&look, said));
    assert_eq!(dump(&look).is_empty(), look.loaded.root.is_empty());
    assert_eq!(diff(&look, &inspect(&files(), &options)), Vec::new(), "it differs from itself");
    let urls = ["/", "/index.php?a=b", "http://shop.test/a/../b%2f", "https://[::1]:8443/x", "http://a:81/.git/config"];
    let question = Question::new(urls[random.below(urls.len())]);
    // An error is an answer too.
    let _ = explain(look, &question);
}

/// `--fix`: it comes to an end, and leaves no worse text.
fn mend(text: &[u8], random: &mut Random) {
    let options = options(random);
    let (mut text, mut faults) = (text.to_vec(), syntax_faults(text));
    for round in 0.. {
        let look = inspect(&Memory::default().with(FILE, text.clone()), &options);
        let repaired = repair(&look);
        assert_eq!(repaired.files.is_empty(), repaired.told.is_empty());
        let Some(mended) = repaired.files.into_values().next() else { break };
        assert!(mended != text, "a repair changes nothing: {:?}", repaired.told);
        assert!(round < ROUNDS, "repairs go round: {:?}", repaired.told);
        let left = syntax_faults(&mended);
        assert!(left <= faults, "{faults} faults of syntax became {left}: {:?}", repaired.told);
        (text, faults) = (mended, left);
    }
}

#[test]
fn broken_texts_break_nothing() {
    let texts = Texts::of_the_project();
    let (mut random, mut budget) = (Random::new(seed()), Budget::new(0.8, SHORT));
    while budget.go_on() {
        let (text, other) = (texts.broken(&mut random), texts.broken(&mut random));
        survive("read", &text, || read(&text));
        for _ in 0..READ_MORE {
            let text = texts.broken(&mut random);
            survive("read", &text, || read(&text));
        }
        survive("look", &text, || look(&text, &other, &mut random));
        survive("mend", &text, || mend(&text, &mut random));
    }
    eprintln!("{} texts were read, {} of them looked at and mended", budget.done * (1 + READ_MORE), budget.done);
}

/// What is printed can be read, in every format.
#[test]
fn every_format_prints_whatever_is_said() {
    let texts = Texts::of_the_project();
    let (mut random, mut budget) = (Random::new(seed() ^ 0x5eed), Budget::new(0.1, 2));
    let folder = tempfile::tempdir().expect("a folder");
    while budget.go_on() {
        for number in 0..40 {
            fs::write(folder.path().join(format!("{number}.conf")), texts.broken(&mut random)).expect("a file");
        }
        for format in ["human", "nginx", "json", "sarif", "github"] {
            let run = Command::new(env!("CARGO_BIN_EXE_rnginx"))
                .args(["check", "--offline", "--format", format])
                .arg(folder.path())
                .output()
                .expect("rnginx runs");
            let kept = || fs::rename(folder.path(), Path::new(env!("CARGO_TARGET_TMPDIR")).join("fuzz-formats"));
            let fine = run.status.code().is_some_and(|code| code < 2);
            assert!(fine, "{format}: {:?}\n{}\n{:?}", run.status, String::from_utf8_lossy(&run.stderr), kept());
            if matches!(format, "json" | "sarif") {
                serde_json::from_slice::<serde_json::Value>(&run.stdout).expect("JSON");
            }
        }
    }
    eprintln!("{} files were printed in five formats", budget.done * 40);
}

/// An editor that shows broken texts, and asks about any place in them.
#[test]
fn an_editor_may_show_anything() {
    let texts = Texts::of_the_project();
    let (mut random, mut budget) = (Random::new(seed() ^ 0xed17), Budget::new(0.1, 25));
    let mut editor = editor::Nuisance::new();
    while budget.go_on() {
        let text = texts.broken(&mut random);
        survive("editor", &text, || editor.bother(&String::from_utf8_lossy(&text), &mut random));
    }
    eprintln!("{} texts were shown to the language server", budget.done);
}
