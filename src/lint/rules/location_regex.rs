//! Regular expressions of locations, for the rules that compare them.

use crate::{
    conf::pattern::{ByteSet, Machine, Node, Pattern, shortest},
    http::LocationKind,
    lint::Block,
};

/// Bytes of paths that people read.
pub(super) fn printable() -> ByteSet {
    ByteSet::range(b'!', b'~') & !ByteSet::of(b"%?#\\\"'<>{}|^`")
}

/// The pattern of a location, and its machine.
pub(super) fn machine(block: Block<'_>) -> Option<Machine> {
    let name = block.name().filter(|name| name.kind == LocationKind::Regex)?;
    read(name.text, name.caseless).and_then(|pattern| Machine::new(&pattern.root))
}

pub(super) fn read(text: &[u8], caseless: bool) -> Option<Pattern> {
    Pattern::read(text, caseless)
}

/// The machine of a pattern of ours.
pub(super) fn ours(pattern: &str) -> Machine {
    let root = read(pattern.as_bytes(), false).map_or(Node::Sequence(Vec::new()), |pattern| pattern.root);
    Machine::new(&root).expect("patterns of ours are small")
}

/// The machine of all paths that begin with a prefix.
pub(super) fn beginning_with(prefix: &[u8]) -> Option<Machine> {
    let bytes = prefix.iter().map(|byte| Node::Set(ByteSet::one(*byte)));
    Machine::new(&Node::Sequence(std::iter::once(Node::Start).chain(bytes).collect()))
}

/// A path as nginx sees it after it has resolved dots and slashes.
pub(super) fn paths() -> Machine {
    ours("^/")
}

/// What no such path holds.
pub(super) fn no_path() -> Machine {
    ours(r"//|/\.\.?/|/\.\.?$")
}

/// A path that all of these match and none of the others: a pretty one, if there is one.
pub(super) fn path_of(takes: &[&Machine], refuses: &[&Machine]) -> Option<String> {
    let (paths, no_path) = (paths(), no_path());
    let (pretty, prettier) = (ours("^/[a-z]"), ours(r"[a-z0-9]\.[a-z0-9]+$"));
    let refuses: Vec<_> = refuses.iter().copied().chain([&no_path]).collect();
    let find = |more: &[&Machine]| {
        let takes: Vec<_> = takes.iter().copied().chain(more.iter().copied()).collect();
        shortest(&takes, &refuses, printable()).text()
    };
    let tries: [&[&Machine]; 3] = [&[&paths, &pretty, &prettier], &[&paths, &pretty], &[&paths]];
    let path = tries.into_iter().find_map(find)?;
    String::from_utf8(path).ok()
}
