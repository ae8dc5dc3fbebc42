//! The program.

use std::process::ExitCode;

fn main() -> ExitCode {
    let program = std::env::args_os().collect();
    // SAFETY: nothing has started a thread yet.
    unsafe { rnginx::cli::run(program) }
}
