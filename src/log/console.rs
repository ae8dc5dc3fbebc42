//! What a starting nginx says on stderr.

use std::fmt::Display;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

use super::Line;

/// Whether grave messages of an error log are repeated on stderr: nginx does so until it has started.
static ECHO: AtomicBool = AtomicBool::new(false);

/// Turns the repetition of grave messages on (a program that starts) or off (one that runs).
pub fn echo(on: bool) {
    ECHO.store(on, Ordering::Relaxed);
}

pub(super) fn echoes() -> bool {
    ECHO.load(Ordering::Relaxed)
}

/// Says `nginx: message` on stderr.
pub fn say(message: impl Display) {
    write(Line::console().put(message).finish());
}

/// Says `nginx: message (2: No such file or directory)` on stderr.
pub fn say_error(error: &io::Error, message: impl Display) {
    write(Line::console().put(message).error(error).finish());
}

/// Writes to stderr; there is nobody to tell where that fails.
pub(super) fn write(bytes: &[u8]) {
    let _ = rustix::io::write(rustix::stdio::stderr(), bytes);
}
