//! Every rule finds its bad example, is content with its good one, and has its page.

use std::path::{Path, PathBuf};

use super::*;
use crate::{
    check::check,
    load::{Memory, Options, load},
    schema::Schema,
};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A text as a file, with what the checks say of it and what the rules do.
fn look(text: &str) -> (Loaded, Vec<Diagnostic>, Vec<Diagnostic>) {
    let (loaded, mut said) = load(&Memory::default().with("/n.conf", text), Schema::nginx(), &Options::new("/n.conf"));
    check(&loaded, Schema::nginx(), &|_| true, &mut said);
    let found = lint(&loaded, &said);
    (loaded, said, found)
}

fn codes(found: &[Diagnostic]) -> Vec<&'static str> {
    found.iter().map(|one| one.code).collect()
}

/// `12: message`, and below it what is marked, the way out, and the text after the repair.
fn show(loaded: &Loaded, one: &Diagnostic) -> String {
    let marked = |span: Span| {
        let text = String::from_utf8_lossy(loaded.sources.text(span)).replace('\n', "⏎");
        format!("{} `{text}`", loaded.sources.line(span))
    };
    let at = one.at.expect("a lint has a place");
    let mut shown =
        format!("{} {}\n    {} {}", one.code, one.message, marked(at), one.label.as_deref().unwrap_or_default());
    shown.truncate(shown.trim_end().len());
    for (span, label) in &one.related {
        shown += &format!("\n    {} {label}", marked(*span));
    }
    if let Some(help) = &one.help {
        shown += &format!("\n    help: {help}");
    }
    if let Some(fix) = &one.fix {
        shown += &format!("\n    fix: {}", fix.title);
        let text = mended(loaded, fix);
        let before = String::from_utf8_lossy(&loaded.sources.get(at.file).text).into_owned();
        let new = text.lines().filter(|line| !before.lines().any(|old| old == *line));
        new.for_each(|line| shown += &format!("\n    + {}", line.trim()));
    }
    shown + "\n"
}

/// The file after a repair.
fn mended(loaded: &Loaded, fix: &crate::diag::Fix) -> String {
    let mut text = loaded.sources.get(fix.edits[0].span.file).text.to_vec();
    for edit in fix.edits.iter().rev() {
        text.splice(edit.span.start as usize..edit.span.end as usize, edit.text.bytes());
    }
    String::from_utf8(text).expect("examples are text")
}

#[test]
fn every_rule_finds_its_bad_example_and_not_its_good_one() {
    let mut faults = Vec::new();
    for rule in rules() {
        for (name, text, wanted) in [("bad", rule.bad, true), ("good", rule.good, false)] {
            let (_, said, found) = look(text);
            let errors: Vec<_> =
                said.iter().filter(|one| one.severity == Severity::Error).map(|one| &one.message).collect();
            if !errors.is_empty() {
                faults.push(format!("{}: the {name} example is wrong: {errors:?}", rule.code));
            }
            if codes(&found).contains(&rule.code) != wanted {
                faults.push(format!("{}: the {name} example gives {:?}", rule.code, codes(&found)));
            }
            if !wanted && !found.is_empty() {
                faults.push(format!("{}: the good example gives {:?}", rule.code, codes(&found)));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn what_is_found_is_said_well() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder("tests/lint/rules"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    for rule in rules() {
        let (loaded, _, found) = look(rule.bad);
        let shown: Vec<_> = found.iter().map(|one| show(&loaded, one)).collect();
        settings.bind(|| insta::assert_snapshot!(rule.code, shown.concat()));
    }
}

/// A repair takes away what it is offered for, and breaks nothing.
#[test]
fn a_repair_mends() {
    for rule in rules() {
        let (loaded, _, found) = look(rule.bad);
        for fix in found.iter().filter(|one| one.code == rule.code).filter_map(|one| one.fix.as_ref()) {
            let text = mended(&loaded, fix);
            let (_, said, again) = look(&text);
            assert!(said.iter().all(|one| one.severity != Severity::Error), "{}: {said:?}\n{text}", rule.code);
            let count = |found: &[Diagnostic]| found.iter().filter(|one| one.code == rule.code).count();
            assert!(count(&again) < count(&found), "{}: still there\n{text}", rule.code);
        }
    }
}

#[test]
fn rules_stand_by_name_and_say_everything() {
    let names: Vec<_> = rules().iter().map(|rule| rule.code).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(names, sorted);
    for rule in rules() {
        assert!(!rule.title.ends_with('.') && rule.why.ends_with('.') && rule.allow.ends_with('.'), "{}", rule.code);
    }
}

/// `RNGINX_WRITE=1 cargo test --lib documentation` writes them anew.
#[test]
fn the_documentation_of_the_rules_is_fresh() {
    let folder = folder("docs/rules");
    let mut pages: Vec<_> = rules().iter().map(|rule| (format!("{}.md", rule.code), page(rule))).collect();
    pages.push(("README.md".into(), index()));
    if std::env::var_os("RNGINX_WRITE").is_some() {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder for the pages");
        pages.iter().for_each(|(name, page)| std::fs::write(folder.join(name), page).expect("the page can be written"));
    }
    for (name, page) in &pages {
        assert!(
            std::fs::read_to_string(folder.join(name)).is_ok_and(|written| written == *page),
            "docs/rules/{name} is stale"
        );
    }
    let count = std::fs::read_dir(&folder).expect("the pages").count();
    assert_eq!(count, pages.len(), "docs/rules holds a page of no rule");
}

#[test]
fn comments_allow_where_they_stand() {
    let site = |before: &str, behind: &str| {
        format!(
            "server {{\n    {before}\n    server_tokens on; {behind}\n    location / {{\n        server_tokens on;\n    }}\n}}\n"
        )
    };
    let found = |before: &str, behind: &str| codes(&look(&site(before, behind)).2);
    assert_eq!(found("", ""), ["version-disclosure", "version-disclosure"]);
    assert_eq!(found("# rnginx: allow version-disclosure a demo", ""), ["version-disclosure"]);
    assert_eq!(found("", "# rnginx: allow version-disclosure a demo"), ["version-disclosure"]);
    assert_eq!(found("listen 80; # rnginx: allow version-disclosure a demo", "").len(), 3);
    assert_eq!(found("#rnginx: allow version-disclosure", "").len(), 3);
    let block = format!("# rnginx: allow version-disclosure a demo\n{}", site("", ""));
    assert_eq!(codes(&look(&block).2), Vec::<&str>::new());
}

/// A configuration with so many servers.
fn large(servers: usize) -> String {
    let locations = |number: usize| {
        format!(
            "        location ^~ /a{number}/ {{\n            proxy_set_header Host $host;\n            proxy_pass http://app{number};\n        }}\n        \
             location ~ ^/b{number}/(?<name>[a-z]+)\\.php$ {{\n            try_files $uri =404;\n            fastcgi_pass 127.0.0.1:9000;\n        }}\n        \
             location ~* \\.(css|js{number})$ {{\n            expires 7d;\n        }}\n        location = /c{number} {{\n            return 204;\n        }}\n"
        )
    };
    let server = |number: usize| {
        format!(
            "    upstream app{number} {{\n        server 127.0.0.1:8000;\n    }}\n    server {{\n        listen 80;\n        server_name a{number}.test www.a{number}.test;\n        \
             root /srv/www/{number};\n        add_header X-Frame-Options DENY;\n{}    }}\n",
            locations(number)
        )
    };
    format!("events {{ }}\nhttp {{\n{}}}\n", (0..servers).map(server).collect::<String>())
}

/// Many servers are as quiet as one.
#[test]
fn a_large_configuration_is_looked_at() {
    let (loaded, _) = Loaded::from_text("/n.conf", &large(60));
    assert_eq!(codes(&lint(&loaded, &[])), ["no-default-server"]);
}

/// Whatever nginx takes gives warnings at most, and places in the files.
#[test]
fn no_lint_is_an_error() {
    for file in
        std::fs::read_dir(folder("conformance")).expect("the cases").filter_map(|entry| Some(entry.ok()?.path()))
    {
        let Ok(cases) = std::fs::read_dir(file) else { continue };
        for case in cases
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|one| one == "conf"))
        {
            let text = String::from_utf8_lossy(&std::fs::read(&case).expect("a case")).into_owned();
            let (loaded, _, found) = look(&text);
            for one in found {
                let at = one.at.expect("a lint has a place");
                assert!(
                    one.severity == Severity::Warning && at.end as usize <= loaded.sources.get(at.file).text.len(),
                    "{}: {one:?}",
                    case.display()
                );
            }
        }
    }
}

/// What we recommend is above reproach.
#[test]
fn what_we_recommend_has_no_flaw() {
    let text = std::fs::read_to_string(folder("examples/my_shop/my_shop_recommended.conf")).expect("an example");
    assert_eq!(codes(&look(&text).2), Vec::<&str>::new());
    let founding =
        std::fs::read_to_string(folder("examples/my_shop/my_shop.conf")).expect("the founding configuration");
    assert_eq!(codes(&look(&founding).2), ["django-without-host"]);
}
