//! Lints a file with the library: everything that `rnginx check --offline` says, with the words at fault.
//!
//! `cargo run --example lint -- /etc/nginx/sites-available/my_shop`

use std::process::ExitCode;

use rnginx::{
    diag::Severity,
    inspect::{Options, inspect},
    load::Disk,
};

fn main() -> ExitCode {
    let Some(path) = std::env::args().nth(1) else {
        eprintln!("usage: lint FILE");
        return ExitCode::from(2);
    };
    let look = inspect(&Disk, &Options { offline: true, ..Options::new(path) });
    for said in &look.diagnostics {
        let kind = match said.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Note => "note",
        };
        let sources = &look.loaded.sources;
        let place = said.at.map_or_else(String::new, |at| format!("{}: ", sources.place(at)));
        println!("{place}{kind}[{}]: {}", said.code, said.message);
        if let Some(at) = said.at {
            println!("    {}", String::from_utf8_lossy(sources.text(at)));
        }
        if let Some(help) = &said.help {
            println!("    help: {help}");
        }
    }
    if look.has_errors() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}
