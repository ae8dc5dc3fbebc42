//! What a request writes to the error log: nginx's sentences, and what nginx says behind them.

use std::{fmt, io};

use super::{HeaderId, Request};
use crate::log::{Level, Line};

impl Request {
    /// Whether the error log of the location takes lines of this level.
    pub fn logs(&self, level: Level) -> bool {
        self.location().core.error_log.takes(level)
    }

    /// Writes a line to the location's error log, with the request's context behind it as nginx has it.
    pub fn log(&self, level: Level, message: impl fmt::Display) {
        self.log_with(level, |line| {
            line.put(message);
        });
    }

    /// The same with the system's error behind the message.
    pub fn log_error(&self, level: Level, error: &io::Error, message: impl fmt::Display) {
        self.log_with(level, |line| {
            line.put(message).error(error);
        });
    }

    /// The same with a message of raw bytes.
    pub fn log_with(&self, level: Level, message: impl FnOnce(&mut Line)) {
        self.log_while(level, if self.logging.get() { " while logging request" } else { self.doing() }, message);
    }

    /// The same for something that happens while this is done: ` while …`.
    pub fn log_while(&self, level: Level, doing: &'static str, message: impl FnOnce(&mut Line)) {
        // A subrequest writes to the log of the request that the client sent.
        let location = self.main.as_deref().unwrap_or(self).location();
        location.core.error_log.write(level, Some(self.connection.number), |line| {
            message(line);
            line.put(doing);
            self.add_log_context(line);
        });
    }

    /// What nginx says that it is doing: ` while …`, or nothing.
    pub fn doing(&self) -> &'static str {
        self.main.as_deref().unwrap_or(self).out.doing.get()
    }

    /// Notes what nginx is doing.
    pub fn set_doing(&self, doing: &'static str) {
        self.main.as_deref().unwrap_or(self).out.doing.set(doing);
    }

    fn add_log_context(&self, line: &mut Line) {
        line.put(", client: ").bytes(&self.connection.address.borrow());
        line.put(", server: ").bytes(&self.server().name);
        if !self.head.line().is_empty() {
            line.put(", request: \"").bytes(self.head.line()).put('"');
        }
        if self.main.is_some() {
            line.put(", subrequest: \"").bytes(&self.uri.borrow()).put('"');
        }
        if let Some(upstream) = &*self.out.upstream.borrow() {
            upstream.add_log_context(line);
        }
        for (label, id) in [(", host: \"", HeaderId::Host), (", referrer: \"", HeaderId::Referer)] {
            if let Some(value) = self.header(id) {
                line.put(label).bytes(&value).put('"');
            }
        }
    }
}
