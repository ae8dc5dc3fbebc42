//! `include`: each one is replaced by the directives of the files that it names.

use std::{collections::HashMap, io, sync::Arc};

use super::{
    files::{self, Files},
    glob,
    sources::{Origin, Source, Sources},
};
use crate::{
    diag::{Diagnostic, Span, closest},
    schema::{Context, Opens, Schema},
    syntax::{Directive, parse},
};

/// Files inside files deeper than this are refused; nginx runs out of descriptors or of stack.
const MAX_DEPTH: usize = 100;

/// What the lines of a block are: this says whether `include` means anything there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Lines {
    /// Directives, or a table in which `include` works too.
    Include,
    /// A table in which it is an entry like any other, or a block of nobody knows what.
    Other,
}

/// Reads files into a tree.
pub(super) struct Reader<'a> {
    files: &'a dyn Files,
    schema: &'a Schema,
    /// What relative names stand under: the folder of the main file, with its `/`.
    folder: &'a [u8],
    pub(super) sources: Sources,
    pub(super) faults: Vec<Diagnostic>,
    /// The files that are being read, the main file first.
    open: Vec<Vec<u8>>,
    texts: HashMap<Vec<u8>, Arc<[u8]>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(files: &'a dyn Files, schema: &'a Schema, folder: &'a [u8]) -> Self {
        let (sources, faults) = (Sources::default(), Vec::new());
        Self { files, schema, folder, sources, faults, open: Vec::new(), texts: HashMap::new() }
    }

    /// Reads a file and what it includes. `include` is its directive, for all but the main file.
    ///
    /// # Errors
    /// What nginx says of a file that cannot be read.
    pub(super) fn file(
        &mut self,
        name: Vec<u8>,
        include: Option<Span>,
        lines: Lines,
    ) -> Result<Vec<Directive>, String> {
        let text = self.text(&name)?;
        let source = Source::new(String::from_utf8_lossy(&name), text.clone(), Origin::File);
        let file = self.sources.add(source.included_at(include));
        let (tree, faults) = parse(file, &text);
        self.faults.extend(faults);
        self.open.push(name);
        let tree = self.splice(tree, lines);
        self.open.pop();
        Ok(tree)
    }

    fn text(&mut self, name: &[u8]) -> Result<Arc<[u8]>, String> {
        if let Some(text) = self.texts.get(name) {
            return Ok(text.clone());
        }
        let text = self.files.read(files::path(name)).map_err(|error| {
            let call = if error.kind() == io::ErrorKind::IsADirectory { "pread" } else { "open" };
            files::failure(call, name, &error)
        })?;
        if u32::try_from(text.len()).is_err() {
            return Err(files::failure("open", name, &io::Error::from_raw_os_error(libc::EFBIG)));
        }
        let text: Arc<[u8]> = text.into();
        self.texts.insert(name.to_vec(), text.clone());
        Ok(text)
    }

    /// Replaces each `include` in a block and in the blocks inside it.
    pub(super) fn splice(&mut self, mut directives: Vec<Directive>, lines: Lines) -> Vec<Directive> {
        if lines == Lines::Other || !directives.iter().any(is_include) {
            directives.iter_mut().for_each(|directive| self.splice_inside(directive, lines));
            return directives;
        }
        let mut spliced = Vec::with_capacity(directives.len());
        for mut directive in directives {
            if is_include(&directive) {
                self.include(&directive, &mut spliced);
            } else {
                self.splice_inside(&mut directive, lines);
                spliced.push(directive);
            }
        }
        spliced
    }

    fn splice_inside(&mut self, directive: &mut Directive, lines: Lines) {
        if let Some(block) = &mut directive.block {
            let inside = self.inside(&directive.name.value, lines);
            block.directives = self.splice(std::mem::take(&mut block.directives), inside);
        }
    }

    fn inside(&self, name: &[u8], around: Lines) -> Lines {
        let opens = self.schema.named(name).find_map(|spec| spec.opens);
        match opens {
            _ if around == Lines::Other => Lines::Other,
            Some(Opens::In(Context::SPLIT_CLIENTS | Context::CHARSET_MAP)) | None => Lines::Other,
            Some(_) => Lines::Include,
        }
    }

    fn include(&mut self, directive: &Directive, into: &mut Vec<Directive>) {
        let name = self.full_name(&directive.args[0].value);
        let names = if glob::is_pattern(&name) { glob::glob(self.files, &name) } else { vec![name] };
        for name in names {
            if let Some(fault) = self.refuse(&name, directive) {
                self.faults.push(fault);
                continue;
            }
            match self.file(name.clone(), Some(directive.end), Lines::Include) {
                Ok(directives) => into.extend(directives),
                Err(sentence) => {
                    let fault = self.missing(sentence, &name, directive);
                    self.faults.push(fault);
                }
            }
        }
    }

    fn full_name(&self, name: &[u8]) -> Vec<u8> {
        if name.starts_with(b"/") { name.to_vec() } else { [self.folder, name].concat() }
    }

    fn refuse(&self, name: &[u8], directive: &Directive) -> Option<Diagnostic> {
        if self.open.iter().any(|open| open == name) {
            return Some(cycle(name, directive));
        }
        (self.open.len() >= MAX_DEPTH).then(|| {
            let sentence = files::failure("open", name, &io::Error::from_raw_os_error(libc::EMFILE));
            place(Diagnostic::error("include-depth", sentence), directive)
                .label(format!("{MAX_DEPTH} files include one another already"))
        })
    }

    /// The file is not there, or cannot be read.
    fn missing(&self, sentence: String, name: &[u8], directive: &Directive) -> Diagnostic {
        let fault = place(Diagnostic::error("missing-include", sentence), directive);
        let written = &directive.args[0].value;
        let folder = String::from_utf8_lossy(self.folder);
        let fault = match written.starts_with(b"/") {
            true => fault,
            false => fault.label(format!("this stands under the folder of the main file, {folder}")),
        };
        match self.similar(name) {
            Some(similar) => fault.help(format!("there is a file {similar}")),
            None => fault,
        }
    }

    fn similar(&self, name: &[u8]) -> Option<String> {
        let slash = name.iter().rposition(|&byte| byte == b'/')? + 1;
        let (folder, base) = name.split_at(slash);
        let names = self.files.list(files::path(folder)).ok()?;
        let names: Vec<_> = names.iter().filter_map(|name| name.to_str()).collect();
        let near = closest(std::str::from_utf8(base).ok()?, names.iter().copied())?;
        Some(format!("{}{near}", String::from_utf8_lossy(folder)))
    }
}

/// One argument and no block, but for one that a stray `;` has parted from it; the checks say what is wrong with others.
fn is_include(directive: &Directive) -> bool {
    let has_block = directive.block.as_ref().is_some_and(|block| block.open == directive.end);
    let is_whole = !has_block && directive.brace().is_none();
    &*directive.name.value == b"include" && directive.args.len() == 1 && is_whole
}

fn place(fault: Diagnostic, directive: &Directive) -> Diagnostic {
    fault.at(directive.args[0].span).nginx_at(directive.end)
}

fn cycle(name: &[u8], directive: &Directive) -> Diagnostic {
    let name = String::from_utf8_lossy(name);
    place(Diagnostic::error("include-cycle", format!("\"{name}\" includes itself")), directive)
        .label("this file is already being read")
        .help("remove this `include`; nginx crashes on it")
}
