//! Nothing is accepted and ignored: every directive that runs has conformance cases, recorded from nginx, for its effect, for
//! its inheritance and for a bad value.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
};

use rnginx::{
    diag::{FileId, Span},
    schema::{Context, DirectiveSpec, Schema, ValueType},
    syntax::{self, Directive},
};

/// What a directive may lack, and why: `*` for all directives of a module.
const EXCUSED: &[(Proof, &str, &str, &str)] = &[
    (Proof::Effect, "core", "load_module", "the nginx that is recorded has all modules built in, and can load none"),
    (Proof::Inheritance, "http_rewrite", "rewrite", "belongs to its block"),
    (Proof::Inheritance, "http_rewrite", "return", "belongs to its block"),
    (Proof::Inheritance, "http_rewrite", "break", "belongs to its block"),
    (Proof::Inheritance, "http_rewrite", "if", "belongs to its block"),
    (Proof::Inheritance, "http_rewrite", "set", "belongs to its block"),
    (Proof::Inheritance, "http_try_files", "try_files", "belongs to its block"),
    (Proof::Inheritance, "http_core", "location", "is a block"),
];

/// Blocks of a request, in which a directive may be inherited.
const BLOCKS: [Context; 3] = [Context::HTTP, Context::SERVER, Context::LOCATION];

/// What a case can show of a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Proof {
    /// It stands in a case that is asked something; any case will do for what no request shows.
    Effect,
    /// It stands in a block around one that has none of its own, in a case that is asked something.
    Inheritance,
    /// nginx complains of its value.
    BadValue,
}

/// A directive's module and name.
type Row = (&'static str, &'static str);

#[test]
fn every_directive_that_runs_has_its_cases() {
    let shown = shown();
    let mut lacking = BTreeMap::<&str, Vec<String>>::new();
    for row in running() {
        for proof in demanded(row) {
            if !shown.contains(&(proof, (row.module, row.name))) && !is_excused(proof, row) {
                lacking.entry(row.module).or_default().push(format!("{}: {proof:?}", row.name));
            }
        }
    }
    for (module, list) in &lacking {
        println!("{module} lacks {}:\n  {}", list.len(), list.join("\n  "));
    }
    assert!(lacking.is_empty(), "directives that run lack cases (conformance/README.md)");
}

#[test]
fn excuses_are_of_directives_that_run() {
    let rows: HashSet<_> = running().into_iter().map(|row| (row.module, row.name)).collect();
    for (_, module, name, _) in EXCUSED {
        assert!(*name == "*" || rows.contains(&(*module, *name)), "{module}: {name}");
    }
}

/// The directives that the page says run.
fn running() -> Vec<&'static DirectiveSpec> {
    let page = fs::read_to_string(root().join("docs/directives.md")).expect("the generated page");
    let mut module = "";
    let mut found = Vec::new();
    for line in page.lines() {
        if let Some(name) = line.strip_prefix("## ") {
            module = name;
        } else if line.ends_with("| **runs** |")
            && let Some((name, _)) = line.strip_prefix("| [").and_then(|rest| rest.split_once(']'))
        {
            let is_it = |row: &&DirectiveSpec| row.module == module && row.name == name;
            found.push(Schema::nginx().directives().iter().find(is_it).expect("the page is made of the table"));
        }
    }
    found
}

/// What has to be shown of a directive.
fn demanded(row: &DirectiveSpec) -> Vec<Proof> {
    let mut proofs = vec![Proof::Effect, Proof::BadValue];
    if BLOCKS.iter().filter(|block| row.contexts.intersects(**block)).count() > 1 {
        proofs.push(Proof::Inheritance);
    }
    proofs
}

fn is_excused(proof: Proof, row: &DirectiveSpec) -> bool {
    let of_it = |name: &str| name == "*" || name == row.name;
    EXCUSED.iter().any(|(what, module, name, _)| *what == proof && *module == row.module && of_it(name))
}

/// All that the cases show.
fn shown() -> HashSet<(Proof, Row)> {
    let mut shown = HashSet::new();
    for folder in entries(&root().join("conformance")).into_iter().filter(|path| path.is_dir()) {
        for conf in entries(&folder).into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "conf"))
        {
            let text = fs::read(&conf).expect("a readable case");
            let tree = syntax::parse(FileId::default(), &text).0;
            if folder.ends_with("check") {
                let snapshot = fs::read_to_string(conf.with_extension("snap")).expect("a recorded case");
                note_complaints(&tree, &text, &snapshot, &mut shown);
            } else if conf.with_extension("http").exists() {
                note_effects(&tree, Context::MAIN, &[], &mut shown);
            } else {
                let rows = tree.iter().filter_map(|one| Schema::nginx().find(&one.name.value, Context::MAIN));
                shown.extend(rows.map(|row| (Proof::Effect, (row.module, row.name))));
            }
        }
    }
    shown
}

/// Notes what stands in a block and the blocks in it, and what is inherited of `around`.
fn note_effects(
    tree: &[Directive],
    context: Context,
    around: &[&'static DirectiveSpec],
    shown: &mut HashSet<(Proof, Row)>,
) {
    let rows: Vec<_> = tree.iter().filter_map(|one| Schema::nginx().find(&one.name.value, context)).collect();
    shown.extend(rows.iter().map(|row| (Proof::Effect, (row.module, row.name))));
    let inner: Vec<_> = rows.iter().filter_map(|row| Some(row.opens?.within(context))).collect();
    let is_block = |kind: Context| BLOCKS.iter().any(|block| kind.intersects(*block));
    let goes_on = |row: &DirectiveSpec| inner.iter().any(|kind| is_block(*kind) && row.contexts.intersects(*kind));
    let inherited: Vec<_> = around.iter().copied().filter(|row| !rows.contains(row)).collect();
    let ends_here =
        inherited.iter().filter(|row| is_block(context) && row.contexts.intersects(context) && !goes_on(row));
    shown.extend(ends_here.map(|row| (Proof::Inheritance, (row.module, row.name))));
    let all: Vec<_> = inherited.into_iter().chain(rows).collect();
    for directive in tree {
        let row = Schema::nginx().find(&directive.name.value, context);
        let inner = row.and_then(|row| Some(row.opens?.within(context))).filter(|inner| !inner.is_table());
        if let Some(inner) = inner {
            note_effects(directive.children(), inner, &all, shown);
        }
    }
}

/// Notes the directives on whose lines nginx found something.
fn note_complaints(tree: &[Directive], text: &[u8], snapshot: &str, shown: &mut HashSet<(Proof, Row)>) {
    for message in snapshot.lines() {
        let Some((words, place)) = message.split_once(" in /tmp/rnginx-prefix/nginx.conf:") else { continue };
        let Ok(line) = place.parse() else { continue };
        let mut there = Vec::new();
        find_on_line(tree, Context::MAIN, (text, line), &mut there);
        let is_named = |row: &&DirectiveSpec| words.contains(&format!("\"{}\"", row.name));
        let rows: Vec<_> = match there[..] {
            [row] => vec![row],
            _ => there.iter().copied().filter(is_named).collect(),
        };
        let rows = rows.into_iter().filter(|row| is_of_value(words, row));
        shown.extend(rows.map(|row| (Proof::BadValue, (row.module, row.name))));
    }
}

/// Whether it is more than a wrong number of words or a second one, where there are values that nginx does not take.
fn is_of_value(words: &str, row: &DirectiveSpec) -> bool {
    use ValueType::*;
    let any = matches!(row.ty, Custom | String | Strings | Pairs | Script | Predicates | MimeTypes);
    any || !["invalid number of arguments", "is duplicate", "unexpected"].iter().any(|trivial| words.contains(trivial))
}

/// The directives on a line: blocks only by their heads, unless their lines are no directives.
fn find_on_line(
    tree: &[Directive],
    context: Context,
    (text, line): (&[u8], usize),
    found: &mut Vec<&'static DirectiveSpec>,
) {
    let line_of = |at: u32| text[..at as usize].iter().filter(|byte| **byte == b'\n').count() + 1;
    for directive in tree {
        let Some(row) = Schema::nginx().find(&directive.name.value, context) else { continue };
        let inner = row.opens.map(|opens| opens.within(context));
        let Span { start, .. } = directive.name.span;
        let table = inner.filter(|inner| inner.is_table()).and(directive.block.as_ref());
        let last = table.map_or(directive.end.start, |block| block.close.start);
        if (line_of(start)..=line_of(last)).contains(&line) {
            found.push(row);
        }
        if let Some(inner) = inner {
            find_on_line(directive.children(), inner, (text, line), found);
        }
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).expect("a folder of the project").filter_map(|entry| Some(entry.ok()?.path())).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
