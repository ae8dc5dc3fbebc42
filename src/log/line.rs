//! One line of the error log, built on the stack: at most [`MAX_LINE`] bytes, cut where nginx cuts.

use std::fmt::{self, Display, Write};
use std::io;

use super::{Level, clock, describe};

/// Longest line, newline included (nginx's `NGX_MAX_ERROR_STR`).
pub const MAX_LINE: usize = 2048;

/// Room that nginx keeps for an error number and its text.
const ERRNO_ROOM: usize = 50;

/// A line under construction. What does not fit is dropped, silently, as nginx does.
pub struct Line {
    bytes: [u8; MAX_LINE],
    len: usize,
    /// Where the message starts, behind time, level, process and connection.
    message: usize,
}

impl Line {
    /// A line with nginx's head: `2026/11/22 08:00:00 [error] 12#14: *3 `.
    pub(super) fn headed(level: Level, connection: Option<u64>) -> Self {
        let mut line = Self::empty();
        line.bytes(&clock::now());
        let pid = rustix::process::getpid().as_raw_pid();
        let tid = rustix::thread::gettid().as_raw_pid();
        line.put(format_args!(" [{}] {pid}#{tid}: ", level.name()));
        if let Some(number) = connection {
            line.put(format_args!("*{number} "));
        }
        line.message = line.len;
        line
    }

    /// A line for the console: `nginx: `.
    pub(super) fn console() -> Self {
        let mut line = Self::empty();
        line.bytes(b"nginx: ");
        line
    }

    fn empty() -> Self {
        Self { bytes: [0; MAX_LINE], len: 0, message: 0 }
    }

    /// Adds text.
    pub fn put(&mut self, text: impl Display) -> &mut Self {
        // `write_str` below cannot fail; a failing `Display` leaves what it wrote.
        let _ = write!(self, "{text}");
        self
    }

    /// Adds bytes as they are: names of files and what clients sent need not be text.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        let fits = bytes.len().min(MAX_LINE - self.len);
        self.bytes[self.len..self.len + fits].copy_from_slice(&bytes[..fits]);
        self.len += fits;
        self
    }

    /// Adds ` (13: Permission denied)`; a message that leaves no room for it loses its tail to `...`.
    pub fn errno(&mut self, errno: i32) -> &mut Self {
        if self.len > MAX_LINE - ERRNO_ROOM {
            self.len = MAX_LINE - ERRNO_ROOM;
            self.bytes(b"...");
        }
        self.put(format_args!(" ({errno}: {})", describe(errno)))
    }

    /// Adds an error of the system as [`Self::errno`] does, or the text of an error that has no number.
    pub fn error(&mut self, error: &io::Error) -> &mut Self {
        match error.raw_os_error() {
            Some(errno) => self.errno(errno),
            None => self.put(format_args!(" ({error})")),
        }
    }

    /// Ends the line and gives its bytes.
    pub(super) fn finish(&mut self) -> &[u8] {
        self.len = self.len.min(MAX_LINE - 1);
        self.bytes(b"\n");
        &self.bytes[..self.len]
    }

    /// The finished line as nginx says it on stderr: `nginx: [error] message`.
    pub(super) fn for_console(&mut self, level: Level) -> &[u8] {
        let mut head = Line::console();
        head.put(format_args!("[{}] ", level.name()));
        // The head of a log line is always longer than this one.
        let start = self.message.saturating_sub(head.len);
        self.bytes[start..start + head.len].copy_from_slice(&head.bytes[..head.len]);
        &self.bytes[start..self.len]
    }
}

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(line: &mut Line) -> String {
        String::from_utf8(line.finish().to_vec()).unwrap()
    }

    #[test]
    fn has_nginx_head() {
        let line = text(Line::headed(Level::Error, Some(7)).put("message").errno(13));
        let (pid, tid) = (std::process::id(), rustix::thread::gettid().as_raw_pid());
        assert_eq!(line[19..], format!(" [error] {pid}#{tid}: *7 message (13: Permission denied)\n"));
    }

    #[test]
    fn turns_into_a_console_line() {
        let mut line = Line::headed(Level::Emerg, None);
        line.put("no \"events\" section in configuration").finish();
        assert_eq!(line.for_console(Level::Emerg), b"nginx: [emerg] no \"events\" section in configuration\n");
    }

    #[test]
    fn cuts_a_long_message_and_keeps_its_newline() {
        let line = text(Line::headed(Level::Info, None).put("x".repeat(4000)));
        assert_eq!((line.len(), line.as_bytes()[MAX_LINE - 1]), (MAX_LINE, b'\n'));
    }

    #[test]
    fn keeps_room_for_the_error_number() {
        let line = text(Line::headed(Level::Info, None).put("x".repeat(4000)).errno(2));
        assert!(line.ends_with("xxx... (2: No such file or directory)\n"), "{line}");
        assert_eq!(line.len(), MAX_LINE - ERRNO_ROOM + "... (2: No such file or directory)\n".len());
    }

    #[test]
    fn takes_bytes_that_are_not_text() {
        let mut line = Line::console();
        assert_eq!(line.bytes(b"\xff\x00").finish(), b"nginx: \xff\x00\n");
    }
}
