//! Runs the codes of a block over a request.

use std::io;
use std::rc::Rc;

use bytes::Bytes;
use rustix::fs::FileType;

use super::condition::{Condition, FileTest};
use super::{Code, Quiet, Replacement, Then, Value};
use crate::http::escape::{Unescape, unescape};
use crate::http::{Captures, Compute, Flow, Part, PhaseHandler, Request, Response, Script, is_true};
use crate::log::{DebugMask, Level};

/// The codes of a block.
pub(super) struct Codes {
    pub(super) codes: Box<[Code]>,
    /// `rewrite_log`
    pub(super) log: bool,
}

/// What follows a code.
enum Step {
    Next,
    Skip(usize),
    End(Flow),
}

/// A run over one request.
struct Run<'r> {
    r: &'r Request,
    log: bool,
    /// Captures are escaped, as long as no `rewrite` has matched.
    quote: bool,
}

impl PhaseHandler for Codes {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        let log = self.log || r.location().core.error_log.debugs(DebugMask::HTTP);
        let mut run = Run { r, log, quote: true };
        let mut at = 0;
        while let Some(code) = self.codes.get(at) {
            at += 1;
            match run.step(code) {
                Step::Next => {}
                Step::Skip(codes) => at += codes,
                Step::End(flow) => return flow,
            }
        }
        Flow::Declined
    }
}

impl Run<'_> {
    fn step(&mut self, code: &Code) -> Step {
        match code {
            Code::Return { status, text } => Step::End(answer(self.r, *status, text)),
            Code::Rewrite(replacement) => self.rewrite(replacement),
            Code::Break => {
                if self.r.uri_changed.replace(false) {
                    self.r.valid_location.set(false);
                }
                Step::End(Flow::Declined)
            }
            Code::Set { variable, value } => {
                self.r.assign(*variable, value.eval(self.r, self.quote));
                Step::Next
            }
            Code::If { condition, location, skip } => match self.holds(condition) {
                Err(status) => Step::End(Flow::Finalize(status)),
                Ok(false) => Step::Skip(*skip),
                Ok(true) => {
                    if let Some(location) = location {
                        self.r.enter(*location);
                    }
                    Step::Next
                }
            },
        }
    }

    fn holds(&self, condition: &Condition) -> Result<bool, u16> {
        let r = self.r;
        let mut value = Vec::new();
        match condition {
            Condition::True(variable) => {
                r.append_variable(*variable, &mut value);
                Ok(is_true(&value))
            }
            Condition::Equal { variable, value: other, negated } => {
                r.append_variable(*variable, &mut value);
                Ok((value[..] == other.eval(r, self.quote)[..]) != *negated)
            }
            Condition::Matches { variable, regex, negated } => {
                r.append_variable(*variable, &mut value);
                let found = regex.exec(r, &value).map_err(|_| 500_u16)?;
                self.tell_match(regex.pattern(), &value, found);
                if !found {
                    r.set_captures(Captures::default());
                }
                Ok(found != *negated)
            }
            Condition::File { test, path, negated } => {
                let path = path.eval(r, self.quote);
                Ok(file_is(r, *test, &path) != *negated)
            }
        }
    }

    fn tell_match(&self, pattern: &[u8], subject: &[u8], found: bool) {
        if self.log {
            let verb = if found { "\" matches \"" } else { "\" does not match \"" };
            self.r.log_with(Level::Notice, |line| {
                line.put('"').bytes(pattern).put(verb).bytes(subject).put('"');
            });
        }
    }

    fn rewrite(&mut self, replacement: &Replacement) -> Step {
        let r = self.r;
        let uri = r.uri.borrow().clone();
        let Ok(found) = replacement.regex.exec(r, &uri) else { return Step::End(Flow::Finalize(500)) };
        self.tell_match(replacement.regex.pattern(), &uri, found);
        if !found {
            r.set_captures(Captures::default());
            return Step::Next;
        }
        r.internal.set(true);
        r.unchanged_uri.set(false);
        let changed = replacement.then != Then::Stay;
        r.uri_changed.set(changed);
        if !changed {
            r.valid_location.set(false);
        }
        self.quote = false;
        match replacement.then {
            Then::Redirect(status) => self.redirect(replacement, status),
            then => match self.replace(replacement) {
                Err(status) => Step::End(Flow::Finalize(status)),
                Ok(()) if then == Then::Next => Step::Next,
                Ok(()) => Step::End(Flow::Declined),
            },
        }
    }

    fn redirect(&self, replacement: &Replacement, status: u16) -> Step {
        let r = self.r;
        let mut written = Vec::with_capacity(64);
        append_parts(r, &replacement.path, r.has_quoted_path(), &mut written);
        let mut target = Vec::with_capacity(written.len());
        let read = unescape(&written, Unescape::Redirect, &mut target);
        target.extend_from_slice(&written[read..]);
        let args = r.args.borrow();
        if replacement.keeps_args && !args.is_empty() {
            target.push(replacement.joint);
            target.extend_from_slice(&args);
        }
        if self.log {
            r.log_with(Level::Notice, |line| {
                line.put("rewritten redirect: \"").bytes(&target).put('"');
            });
        }
        r.redirect_to(&target);
        Step::End(Flow::Finalize(status))
    }

    fn replace(&self, replacement: &Replacement) -> Result<(), u16> {
        let r = self.r;
        let mut path = Vec::with_capacity(64);
        append_parts(r, &replacement.path, false, &mut path);
        if let Some(parts) = &replacement.args {
            let mut args = Vec::new();
            append_parts(r, parts, r.has_quoted_path(), &mut args);
            let old = r.args.take();
            if replacement.keeps_args && !old.is_empty() {
                args.push(replacement.joint);
                args.extend_from_slice(&old);
            }
            r.args.replace(args);
            r.args_are_set.set(true);
        } else if !replacement.keeps_args && !r.args.take().is_empty() {
            r.args_are_set.set(true);
        }
        if self.log {
            let args = r.args.borrow();
            r.log_with(Level::Notice, |line| {
                line.put("rewritten data: \"").bytes(&path).put("\", args: \"").bytes(&args).put('"');
            });
        }
        let empty = path.is_empty();
        r.set_uri(path);
        if empty {
            r.log(Level::Error, "the rewritten URI has a zero length");
            return Err(500);
        }
        Ok(())
    }
}

fn append_parts(r: &Request, parts: &[Part], escape: bool, out: &mut Vec<u8>) {
    for part in parts {
        match part {
            Part::Capture(group) if escape => r.append_escaped_capture(*group, out),
            part => part.append(r, out),
        }
    }
}

/// `return`: pages of nginx's own for bare errors, a redirect, or the text.
fn answer(r: &Request, status: u16, text: &Script) -> Flow {
    if status >= 400 && text.is_empty() {
        return Flow::Finalize(status);
    }
    if !r.body.is_finished() {
        r.body.invite_at_once();
    }
    if r.body.is_broken(r) {
        return Flow::Finalize(400);
    }
    r.body.discard();
    r.out.status.set(status);
    let text = text.eval(r);
    if matches!(status, 301 | 302 | 303 | 307 | 308) {
        r.redirect_to(&text);
        return Flow::Finalize(status);
    }
    Flow::respond(Response::with_bytes(status, r.media_type(), text))
}

impl Value {
    fn eval(&self, r: &Request, quote: bool) -> Bytes {
        if !(quote && self.captures && r.has_quoted_path()) {
            return self.script.eval(r);
        }
        let mut out = Vec::with_capacity(64);
        append_parts(r, &self.script.parts(), true, &mut out);
        out.into()
    }
}

/// Neither sockets nor devices exist for nginx.
fn file_is(r: &Request, test: FileTest, path: &[u8]) -> bool {
    let stat = match rustix::fs::stat(path) {
        Ok(stat) => stat,
        Err(errno) => {
            let error = io::Error::from(errno);
            if !matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG)) {
                r.log_with(Level::Crit, |line| {
                    line.put("stat() \"").bytes(path).put("\" failed").error(&error);
                });
            }
            return false;
        }
    };
    let kind = FileType::from_raw_mode(stat.st_mode);
    match test {
        FileTest::Plain => kind == FileType::RegularFile,
        FileTest::Directory => kind == FileType::Directory,
        FileTest::Exists => matches!(kind, FileType::RegularFile | FileType::Directory),
        FileTest::Executable => stat.st_mode & libc::S_IXUSR != 0,
    }
}

/// A variable that `set` has not reached yet.
pub(super) struct Uninitialized {
    pub(super) name: Box<[u8]>,
}

impl Compute for Uninitialized {
    fn compute(&self, r: &Request, _out: &mut Vec<u8>) -> bool {
        if r.location().extensions.get::<Quiet>().is_none() {
            r.log_with(Level::Warn, |line| {
                line.put("using uninitialized \"").bytes(&self.name).put("\" variable");
            });
        }
        true
    }
}
