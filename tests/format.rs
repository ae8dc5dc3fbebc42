//! The formatter on every configuration of the project and on broken pieces of them: tokens stay, a second time changes
//! nothing.

#[path = "support/samples.rs"]
mod samples;

use std::path::{Path, PathBuf};

use rnginx::{
    format::{Style, format},
    syntax::tokens,
};
use samples::{Random, collect};

/// Every configuration of the project, or in the folder that `CORPUS` names.
fn texts() -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = samples::texts();
    if let Some(corpus) = std::env::var_os("CORPUS") {
        collect(Path::new(&corpus), None, &mut found);
    }
    found
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
