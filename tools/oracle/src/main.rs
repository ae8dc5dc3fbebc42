//! Builds nginx 1.28.3 with every module that the conformance cases speak of, into `target/oracle/nginx` of the project.

mod build;
mod packages;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some("--inner") => build::inner(&folder()),
        Some(_) => Err("usage: cargo run --manifest-path tools/oracle/Cargo.toml".to_owned()),
        None => packages::install_missing().and_then(|()| build::with_progress(&folder())),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("oracle: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `target/oracle` of the project that this crate lies in.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/oracle")
}
