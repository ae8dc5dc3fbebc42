//! The formatter on every configuration of the project and on broken pieces of them: tokens stay, a second time changes
//! nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rnginx::{
    format::{Style, format},
    syntax::tokens,
};

/// Every configuration of the project, or in the folder that `CORPUS` names.
fn texts() -> Vec<(PathBuf, Vec<u8>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in ["conformance", "tests", "examples"] {
        collect(&root.join(folder), Some("conf"), &mut found);
    }
    if let Some(corpus) = std::env::var_os("CORPUS") {
        collect(Path::new(&corpus), None, &mut found);
    }
    found
}

fn collect(folder: &Path, extension: Option<&str>, found: &mut Vec<(PathBuf, Vec<u8>)>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        if path.is_dir() {
            collect(&path, extension, found);
        } else if extension.is_none() || path.extension().and_then(|end| end.to_str()) == extension {
            found.extend(fs::read(&path).ok().map(|text| (path, text)));
        }
    }
}

fn words(text: &[u8]) -> Vec<&[u8]> {
    tokens(text).iter().map(|token| token.text).collect()
}

#[track_caller]
fn holds(text: &[u8], name: &str) -> bool {
    let Ok(once) = format(text, Style::default()) else { return false };
    assert!(words(&once) == words(text), "{name}: tokens changed");
    let twice = format(&once, Style::default());
    assert!(twice.as_ref() == Ok(&once), "{name}: a second time changes it:\n{}", String::from_utf8_lossy(&once));
    true
}

#[test]
fn every_configuration_keeps_its_tokens() {
    let texts = texts();
    let formatted = texts.iter().filter(|(path, text)| holds(text, &path.display().to_string())).count();
    assert!(formatted > 100 && formatted * 10 > texts.len() * 8, "{formatted} of {}", texts.len());
}

/// A small generator of numbers: the same ones each time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }
}

#[test]
fn random_texts_are_survived() {
    const PIECES: &[&str] = &[
        "a",
        " ",
        "\n",
        ";",
        "{",
        "}",
        "# c",
        "\"q\"",
        "'",
        "\\",
        "$",
        "${b}",
        "\r\n",
        "\t",
        "map",
        "types",
        "x_by_lua_block",
        "[[",
        "--",
        ")",
        "\n\n",
        "\u{a0}",
        "80",
        "\\;",
        "\"",
        ";\n",
        "{\n",
        "}\n",
        "# d\n",
    ];
    let mut random = Random(1);
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(20_000);
    let mut formatted = 0;
    for _ in 0..rounds {
        let text: String = (0..random.below(24)).map(|_| PIECES[random.below(PIECES.len())]).collect();
        formatted += usize::from(holds(text.as_bytes(), &format!("{text:?}")));
    }
    assert!(formatted > rounds / 50, "{formatted} of {rounds} were sound");
}

#[test]
fn broken_configurations_are_survived() {
    let mut random = Random(2);
    for (path, text) in texts().iter().step_by(5).filter(|(_, text)| text.len() > 10) {
        for _ in 0..8 {
            let mut broken = text.clone();
            let at = random.below(broken.len());
            match random.below(3) {
                0 => drop(broken.remove(at)),
                1 => broken.insert(at, b";{}#\"' \n"[random.below(8)]),
                _ => broken.truncate(at),
            }
            holds(&broken, &format!("{} with byte {at} changed", path.display()));
        }
    }
}
