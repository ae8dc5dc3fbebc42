//! Holds the house to its plan: rooms import only rooms above them, every directive that runs has its row, files stay
//! short, and what is generated is fresh.

use std::fs;
use std::path::{Path, PathBuf};

/// The rooms from the top down, as `lib.rs` names them.
const ROOMS: &[&str] = &[
    "diag", "log", "paths", "syntax", "format", "schema", "load", "check", "http", "h1", "tls", "cache", "upstream",
    "conf", "modules", "cycle", "lint", "server", "process", "inspect", "lsp", "cli",
];

/// The request path knows HTTP and itself, and where to log: no tree, no directive, no configuration text.
const HTTP_MAY_USE: &[&str] = &["http", "log"];

/// The longest file, in lines.
const LONGEST: usize = 600;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the crate") {
        let path = entry.expect("a readable entry").path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// The room that a file stands in: `src/http/body.rs` and `src/diag.rs` alike.
fn room_of(file: &Path) -> Option<String> {
    let inside = file.strip_prefix(root().join("src")).ok()?;
    let first = inside.components().next()?.as_os_str().to_str()?;
    let room = first.strip_suffix(".rs").unwrap_or(first);
    (!matches!(room, "lib" | "main")).then(|| room.to_owned())
}

/// Every room named behind `crate::` in a text, in `use` lines with braces too.
fn imports(text: &str) -> Vec<String> {
    let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let text = &code.join("\n");
    let mut found = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let rest = &text[at + "crate::".len()..];
        let names: Vec<&str> = match rest.strip_prefix('{') {
            Some(list) => top_level(list.split_once("};").map_or(list, |(list, _)| list)),
            None => vec![rest],
        };
        found.extend(names.iter().map(|name| name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()));
    }
    found
}

/// The parts of a brace list, those in inner braces left out.
fn top_level(list: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, byte) in list.bytes().enumerate() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(list[start..].trim());
    parts
}

#[test]
fn rooms_import_only_rooms_above() {
    let place = |room: &str| ROOMS.iter().position(|known| *known == room);
    let mut faults = Vec::new();
    for file in rust_files(&root().join("src")) {
        let Some(room) = room_of(&file) else { continue };
        let Some(here) = place(&room) else {
            faults.push(format!("{}: the room `{room}` is not in the plan", file.display()));
            continue;
        };
        for import in imports(&fs::read_to_string(&file).expect("a source file")) {
            let Some(there) = place(&import) else { continue };
            if there > here {
                faults.push(format!("{}: `{room}` imports `{import}`, which is below it", file.display()));
            }
            if room == "http" && !HTTP_MAY_USE.contains(&&*import) {
                faults.push(format!("{}: `http` imports `{import}`", file.display()));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn lib_names_the_rooms_in_order() {
    let text = fs::read_to_string(root().join("src/lib.rs")).expect("the crate's root");
    let named: Vec<_> = text
        .lines()
        .filter_map(|line| line.trim_start_matches("pub ").trim_start_matches("pub(crate) ").strip_prefix("mod "))
        .map(|name| name.trim_end_matches(';'))
        .collect();
    let built: Vec<_> = ROOMS.iter().copied().filter(|room| text.contains(&format!("mod {room};"))).collect();
    assert_eq!(named, built);
}

#[test]
fn files_are_short_and_say_what_they_are() {
    let mut faults = Vec::new();
    for file in ["src", "tests", "examples", "tools"].iter().flat_map(|folder| rust_files(&root().join(folder))) {
        if file.components().any(|part| part.as_os_str() == "target") {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source file");
        let lines = text.lines().count();
        if lines > LONGEST {
            faults.push(format!("{}: {lines} lines", file.display()));
        }
        if !text.starts_with("//!") {
            faults.push(format!("{}: does not say what it is", file.display()));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn unsafe_code_says_why_it_is_safe() {
    let mut faults = Vec::new();
    for file in rust_files(&root().join("src")) {
        let text = fs::read_to_string(&file).expect("a source file");
        let lines: Vec<_> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let block = line.contains("unsafe {") && !line.trim_start().starts_with("//");
            if block && !lines[number.saturating_sub(4)..=number].iter().any(|above| above.contains("SAFETY:")) {
                faults.push(format!("{}:{}", file.display(), number + 1));
            }
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn every_command_has_a_row() {
    assert_eq!(rnginx::commands_without_rows(), Vec::<String>::new());
}

/// No file names the folder that it happens to be worked on in.
#[test]
fn nothing_names_a_workplace() {
    let place = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let folders = ["src", "tests", "examples", "docs", "grammar", "benches", "conformance", "tools"];
    let files = folders.iter().flat_map(|folder| text_files(&root().join(folder)));
    let named: Vec<_> = files.filter(|file| fs::read_to_string(file).is_ok_and(|text| text.contains(place))).collect();
    assert!(named.is_empty(), "{named:?}");
}

fn text_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut files = Vec::new();
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !name.starts_with('.') && !matches!(name, "target" | "__pycache__" | "node_modules") {
            files.extend(text_files(&path));
        } else if path.is_file() {
            files.push(path);
        }
    }
    files
}
