//! Regular expressions of locations, for the rules that compare them.

use std::sync::LazyLock;

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
pub(super) static PATHS: LazyLock<Machine> = LazyLock::new(|| ours("^/"));

/// What no such path holds.
pub(super) static NO_PATH: LazyLock<Machine> = LazyLock::new(|| ours(r"//|/\.\.?/|/\.\.?$"));

/// Paths that people read, and those of files.
static PRETTY: LazyLock<(Machine, Machine)> = LazyLock::new(|| (ours("^/[a-z]"), ours(r"[a-z0-9]\.[a-z0-9]+$")));

/// A path that all of these match and none of the others: a pretty one, if there is one.
pub(super) fn path_of(takes: &[&Machine], refuses: &[&Machine]) -> Option<String> {
    let (pretty, prettier) = &*PRETTY;
    let refuses: Vec<_> = refuses.iter().copied().chain([&*NO_PATH]).collect();
    let find = |more: &[&Machine]| {
        let takes: Vec<_> = takes.iter().copied().chain(more.iter().copied()).collect();
        shortest(&takes, &refuses, printable()).text()
    };
    let tries: [&[&Machine]; 3] = [&[&PATHS, pretty, prettier], &[&PATHS, pretty], &[&PATHS]];
    let path = tries.into_iter().find_map(find)?;
    String::from_utf8(path).ok()
}
