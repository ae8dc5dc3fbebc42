//! `rnginx lsp`: the language server on standard input and output.

use std::io;

use super::{Command, NOTHING, Outcome, Words};

pub(super) const COMMAND: Command = Command {
    name: "lsp",
    operands: NOTHING,
    summary: "Serves an editor: diagnostics, completion, documentation, definitions, layout and quick fixes",
    about: "The language server protocol, on standard input and output. In neovim:\n\
            vim.lsp.start({ name = 'rnginx', cmd = { 'rnginx', 'lsp' } })",
    options: &[],
    run,
};

fn run(_: &Words) -> Outcome {
    Ok(crate::lsp::serve(&mut io::stdin().lock(), &mut io::stdout().lock())?)
}
