//! What the checks say: each file of `tests/check/` and everything that is wrong with it.
//!
//! With `NGINX_BIN` set, nginx's first error must be ours too, except for the files that say in their first line why not.

use std::{fs, path::PathBuf, process::Command};

use rnginx::{
    check::{check, reconsider},
    diag::{Diagnostic, Severity, Span},
    load::{Form, Loaded, Memory, Options, load},
    schema::{DirectiveSpec, Schema},
};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/check")
}

/// The cases by name, sorted.
fn cases() -> Vec<String> {
    let names = fs::read_dir(folder()).expect("the folder of cases").map(|entry| entry.expect("an entry").file_name());
    let names = names.filter_map(|name| name.to_str()?.strip_suffix(".conf").map(str::to_owned));
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

/// Modules that rnginx will hardly ever run: enough to see what is said of a directive that is not run.
fn runs(spec: &DirectiveSpec) -> bool {
    !matches!(spec.module, "http_perl" | "http_xslt") && !spec.module.starts_with("mail")
}

fn read(name: &str) -> (Loaded, Vec<Diagnostic>) {
    let path = format!("/etc/nginx/{name}.conf");
    let text = fs::read(folder().join(format!("{name}.conf"))).expect("a case");
    let options = Options { form: Some(Form::Full), ..Options::new(&path) };
    let (loaded, mut found) = load(&Memory::default().with(path, text), Schema::nginx(), &options);
    check(&loaded, Schema::nginx(), &runs, &mut found);
    reconsider(&loaded, &mut found);
    loaded.sources.sort(&mut found);
    (loaded, found)
}

/// `error[unknown-directive] 4: unknown directive "x"`, and below it what is marked, and how to mend it.
fn show(loaded: &Loaded, one: &Diagnostic) -> String {
    let kind = match one.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Note => "note",
    };
    let line = |span: Span| loaded.sources.line(span);
    let marked = |span: Span| {
        let source = loaded.sources.get(span.file);
        let text = String::from_utf8_lossy(loaded.sources.text(span));
        let text = if text.len() > 60 { "…" } else { &text.replace('\n', "⏎") };
        format!("{}:{} `{text}`", source.line(span.start), source.column(span.start))
    };
    let mut shown = format!("{kind}[{}] {}: {}\n", one.code, one.nginx_at.map_or(0, line), one.message);
    if let Some(at) = one.at {
        shown += format!("    {} {}", marked(at), one.label.as_deref().unwrap_or_default()).trim_end();
        shown += "\n";
    }
    for (span, label) in &one.related {
        shown += &format!("    {} {label}\n", marked(*span));
    }
    if let Some(help) = &one.help {
        shown += &format!("    help: {help}\n");
    }
    if let Some(fix) = &one.fix {
        shown += &format!("    {:?} fix: {}\n", fix.certainty, fix.title);
        for edit in &fix.edits {
            shown += &format!("        {} -> `{}`\n", marked(edit.span), edit.text.replace('\n', "⏎"));
        }
    }
    shown
}

#[test]
fn every_fault_is_said() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder());
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for name in cases() {
        let (loaded, found) = read(&name);
        let shown: Vec<_> = found.iter().map(|one| show(&loaded, one)).collect();
        settings.bind(|| insta::assert_snapshot!(name.as_str(), shown.concat()));
    }
}

/// A text cut short anywhere, or with a byte lost, still gives a tree, and faults whose places are in the text.
#[test]
fn broken_texts_are_survived() {
    for name in cases() {
        let text = fs::read(folder().join(format!("{name}.conf"))).expect("a case");
        for at in (0..text.len().min(1500)).step_by(7) {
            for broken in [text[..at].to_vec(), [&text[..at], &text[at + 1..]].concat()] {
                let length = broken.len() as u32;
                let files = Memory::default().with("/n.conf", broken);
                let (loaded, mut found) = load(&files, Schema::nginx(), &Options::new("/n.conf"));
                check(&loaded, Schema::nginx(), &runs, &mut found);
                loaded.sources.sort(&mut found);
                let places = found.iter().flat_map(|one| [one.at, one.nginx_at, one.met_at]).flatten();
                let outside = |span: &Span| loaded.sources.get(span.file).name == "/n.conf" && span.end > length;
                assert_eq!(places.filter(outside).count(), 0, "{name} broken at {at}");
            }
        }
    }
}

#[test]
fn nginx_finds_the_same_first_fault() {
    let Some(nginx) = std::env::var_os("NGINX_BIN") else { return };
    let prefix = tempfile::tempdir().expect("a folder");
    fs::create_dir(prefix.path().join("logs")).expect("a folder for logs");
    for name in cases() {
        let file = folder().join(format!("{name}.conf"));
        let text = fs::read_to_string(&file).expect("a case");
        if text.starts_with("# ours: ") {
            continue;
        }
        let copy = prefix.path().join(format!("{name}.conf"));
        fs::write(&copy, text).expect("a copy");
        let log = prefix.path().join("logs/error.log");
        let run = Command::new(&nginx)
            .arg("-t")
            .arg("-p")
            .arg(prefix.path())
            .arg("-e")
            .arg(log)
            .arg("-c")
            .arg(&copy)
            .output();
        let said = String::from_utf8_lossy(&run.expect("nginx runs").stderr).into_owned();
        let theirs = said.lines().find_map(|line| line.strip_prefix("nginx: [emerg] ")).unwrap_or("nothing");
        let (loaded, found) = read(&name);
        let first = found.iter().find(|one| one.severity == Severity::Error && one.code != "not-run");
        let ours = first.map_or("nothing".into(), |one| rnginx::load::sentence(&loaded.sources, one));
        let ours = ours.replace("/etc/nginx", &prefix.path().to_string_lossy());
        assert_eq!(ours, theirs, "{name}");
    }
}
