//! The conformance gate: every case in `conformance/` against our binary, or against nginx when `NGINX_BIN` is set.
//!
//! `CASE=http_proxy/,core/pid cargo test --test conformance` runs the cases whose names contain one of the words.

mod support;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::run::{self, Binary, Outcome};

/// The version whose answers are recorded.
const ORACLE: &str = "nginx version: nginx/1.28.3\n";

/// A case that takes longer should be made quicker, or holds up all others.
const SLOW: Duration = Duration::from_secs(3);

struct Case {
    /// `http_core/location-exact`
    name: String,
    /// The path without its ending.
    stem: PathBuf,
}

#[test]
fn cases_answer_as_nginx_does() {
    let binary = binary();
    let recording = recording(&binary);
    let cases = cases();
    let outcomes = run_all(&binary, &cases);
    let mut failed = Vec::new();
    let mut passed_over = 0;
    std::panic::set_hook(Box::new(|_| {}));
    for (case, outcome) in cases.iter().zip(outcomes) {
        passed_over += usize::from(matches!(outcome, Ok(Outcome::Passed(_))));
        // What depends on who comes first is told apart from a difference by asking again, with nobody else around.
        if !is_fine(case, outcome, recording) && !is_fine(case, run_one(&binary, case), recording) {
            failed.push(case.name.clone());
        }
    }
    let _ = std::panic::take_hook();
    let (count, bad) = (cases.len(), failed.len());
    println!("{count} cases against {}, {passed_over} passed over", binary.path.display());
    assert!(failed.is_empty(), "{bad} of {count} cases differ:\n  {}", failed.join("\n  "));
}

fn is_fine(case: &Case, outcome: Result<Outcome, String>, recording: bool) -> bool {
    match outcome {
        Ok(Outcome::Passed(why)) => println!("{}: passed over, {why}", case.name),
        Ok(Outcome::Text(text)) => return agrees(case, &text, recording),
        Err(error) => {
            println!("{}: {error}", case.name);
            return false;
        }
    }
    true
}

/// Each snapshot belongs to a configuration.
#[test]
fn snapshots_have_cases() {
    for folder in folders() {
        for file in files(&folder) {
            let lonely = |ending| file.extension().is_some_and(|e| e == ending);
            if lonely("snap") || lonely("http") {
                let conf = file.with_extension("conf");
                assert!(conf.exists(), "{} has no configuration", file.display());
            }
        }
    }
}

fn binary() -> Binary {
    let Some(path) = std::env::var_os("NGINX_BIN") else {
        return Binary { path: PathBuf::from(env!("CARGO_BIN_EXE_rnginx")), ours: true };
    };
    let path = fs::canonicalize(path).expect("NGINX_BIN is a program");
    let ours = version(&path).contains("rnginx");
    Binary { path, ours }
}

fn version(binary: &Path) -> String {
    let output = Command::new(binary).arg("-v").output().expect("the program runs");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Whether snapshots are written now. Only nginx's own answers may be: ours would prove nothing.
fn recording(binary: &Binary) -> bool {
    for name in ["INSTA_FORCE_PASS", "INSTA_FORCE_UPDATE", "INSTA_FORCE_UPDATE_SNAPSHOTS"] {
        assert!(std::env::var_os(name).is_none(), "{name} has no place here: INSTA_UPDATE=always records");
    }
    let update = std::env::var("INSTA_UPDATE").unwrap_or_default();
    if !["always", "force"].contains(&update.as_str()) {
        return false;
    }
    let version = version(&binary.path);
    assert!(!binary.ours && version == ORACLE, "snapshots are recorded from nginx 1.28.3 only, not from: {version}");
    true
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance")
}

fn folders() -> Vec<PathBuf> {
    files(&root()).into_iter().filter(|path| path.is_dir()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder can be read");
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| Some(e.ok()?.path())).collect();
    paths.sort();
    paths
}

fn cases() -> Vec<Case> {
    let filter = std::env::var("CASE").unwrap_or_default();
    let wanted = |name: &str| filter.split(',').any(|word| name.contains(word));
    let case = |conf: &PathBuf| {
        let stem = conf.with_extension("");
        let name = stem.strip_prefix(root()).ok()?.display().to_string();
        (conf.extension()? == "conf" && wanted(&name)).then_some(Case { name, stem })
    };
    let all: Vec<Case> = folders().iter().flat_map(|f| files(f)).filter_map(|f| case(&f)).collect();
    assert!(!all.is_empty(), "no case is named like CASE={filter}");
    all
}

/// All outcomes in the order of the cases. The threads mostly wait, so there are more than cores.
fn run_all(binary: &Binary, cases: &[Case]) -> Vec<Result<Outcome, String>> {
    let cores = std::thread::available_parallelism().map_or(2, usize::from);
    let next = AtomicUsize::new(0);
    let outcomes = Mutex::new(Vec::new());
    let work = || {
        while let Some((index, case)) = take(&next, cases) {
            let start = Instant::now();
            let outcome = run_one(binary, case);
            if start.elapsed() > SLOW {
                println!("{}: slow, {:.1} s", case.name, start.elapsed().as_secs_f32());
            }
            outcomes.lock().expect("no thread panicked").push((index, outcome));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..(cores * 4).min(cases.len()) {
            scope.spawn(work);
        }
    });
    let mut outcomes = outcomes.into_inner().expect("no thread panicked");
    outcomes.sort_by_key(|(index, _)| *index);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn take<'a>(next: &AtomicUsize, cases: &'a [Case]) -> Option<(usize, &'a Case)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    Some((index, cases.get(index)?))
}

fn run_one(binary: &Binary, case: &Case) -> Result<Outcome, String> {
    let conf = fs::read_to_string(case.stem.with_extension("conf")).map_err(|e| e.to_string())?;
    let http = case.stem.with_extension("http");
    let http = http.exists().then(|| fs::read_to_string(&http)).transpose();
    run::run(binary, &conf, http.map_err(|e| e.to_string())?.as_deref())
}

/// Compares with the snapshot; the difference is printed. While recording, writes it.
fn agrees(case: &Case, text: &str, recording: bool) -> bool {
    if recording && let Some(number) = run::ambiguous(text) {
        println!("{}: {number} looks like a port of the pool; choose another size", case.name);
        return false;
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(case.stem.parent().expect("a case lies in a folder"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let file = case.stem.file_name().expect("a case has a name").to_string_lossy();
    let same = catch_unwind(AssertUnwindSafe(|| {
        settings.bind(|| insta::assert_snapshot!(&*file, text));
    }));
    // A pending snapshot would invite to accept what is not nginx's.
    let _ = fs::remove_file(case.stem.with_extension("snap.new"));
    same.is_ok()
}
