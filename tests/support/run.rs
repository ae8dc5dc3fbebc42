//! Runs one case against a binary and gives the text of its snapshot.

use std::collections::HashMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::backend::Backend;
use super::case::{self, Exchange, Script, Section};
use super::normal::{self, normalise};
use super::place::Place;
use super::play::play;
use super::ports;
use super::server::{self, Options, Server};
use super::text;
use super::wire::{PATIENCE, Wire, poll};

/// The program under test.
pub struct Binary {
    pub path: PathBuf,
    /// It is rnginx, so the differences that cases name hold.
    pub ours: bool,
}

/// What came of a case.
pub enum Outcome {
    Text(String),
    /// The machine lacks what the case requires.
    Passed(String),
}

/// Runs the case of `conf` and `http`, both as written. Without `http` the configuration is only tested (`-t`).
///
/// # Errors
/// A sentence, when the case itself is wrong or the machine does not play along.
pub fn run(binary: &Binary, conf: &str, http: Option<&str>) -> Result<Outcome, String> {
    let place = Place::new(&[conf, http.unwrap_or_default()]).map_err(|e| e.to_string())?;
    let conf = place.apply(conf);
    let script = case::parse(&place.apply(http.unwrap_or_default()))?;
    if let Some(lacking) = script.requires.iter().find(|what| !available(what)) {
        return Ok(Outcome::Passed(format!("needs {lacking}")));
    }
    let write = |path: &str, text: &str| place.write(path, text.as_bytes(), None, None);
    write("nginx.conf", &conf).map_err(|e| e.to_string())?;
    let mut run = Run {
        binary: &binary.path,
        place: &place,
        conf,
        options: script.options.clone(),
        server: None,
        backends: Vec::new(),
        open: HashMap::new(),
        ended: false,
        out: String::new(),
    };
    run.all(&script);
    let tidy = |text: &str| normalise(&place.undo(text));
    let mut out = tidy(&run.out);
    for difference in &script.differences {
        let (nginx, ours) = (tidy(&difference.nginx), tidy(&difference.ours));
        let expected = if binary.ours { &ours } else { &nginx };
        if !out.contains(expected) {
            out.push_str(&format!("~ the case names a difference that is not there:\n{expected}"));
        } else if binary.ours {
            out = out.replacen(&ours, &nginx, 1);
        }
    }
    Ok(Outcome::Text(out))
}

/// A number in a finished snapshot that a port could be mistaken for.
pub fn ambiguous(snapshot: &str) -> Option<String> {
    ports::ambiguous(snapshot)
}

fn available(what: &str) -> bool {
    match what {
        "root" => rustix::process::geteuid().is_root(),
        "ipv6" => std::net::TcpListener::bind("[::1]:0").is_ok(),
        _ => false,
    }
}

struct Run<'a> {
    binary: &'a Path,
    place: &'a Place,
    conf: String,
    options: Options,
    server: Option<Server>,
    backends: Vec<(String, Backend)>,
    /// Connections that have a name.
    open: HashMap<String, Wire>,
    /// The case waited for the server's end.
    ended: bool,
    out: String,
}

impl Run<'_> {
    fn all(&mut self, script: &Script) {
        for section in &script.sections {
            if let Err(error) = self.section(section) {
                self.out.push_str(&error);
                break;
            }
        }
        self.finish();
        for section in &script.sections {
            if let Section::Log { path, sorted } = section {
                self.log(path, *sorted);
            }
        }
    }

    fn section(&mut self, section: &Section) -> Result<(), String> {
        let place = self.place;
        match section {
            Section::File { path, content, mtime, mode } => {
                place.write(path, content, *mtime, *mode).map_err(|e| format!("~ {path}: {e}\n"))
            }
            Section::Dir(path) => said(place.make_folder(path)),
            Section::Symlink { link, target } => said(place.link(link, target)),
            Section::Rename { from, to } => said(fs::rename(place.join(from), place.join(to))),
            Section::Chmod { mode, path } => {
                let mode = std::os::unix::fs::PermissionsExt::from_mode(*mode);
                said(fs::set_permissions(place.join(path), mode))
            }
            Section::Remove(path) => said(fs::remove_file(place.join(path))),
            Section::Backend { at, manner, dialect } => {
                let backend = Backend::start(at, manner.clone(), *dialect).map_err(|e| format!("~ {at}: {e}\n"))?;
                self.backends.push((at.clone(), backend));
                Ok(())
            }
            Section::Start => self.start(),
            Section::Exchange(exchange) => self.start().map(|()| self.exchange(exchange)),
            Section::Refused(at) => self.start().map(|()| self.refused(at)),
            Section::Signal(name) => self.start().and_then(|()| self.signal(name)),
            Section::Wait { path, text } => self.start().map(|()| self.wait(path, text)),
            Section::Reached { at, text } => self.start().map(|()| self.reached(at, text)),
            Section::Close(name) => {
                self.open.remove(name);
                Ok(())
            }
            Section::Exit => self.start().map(|()| self.exit()),
            Section::Run(arguments) => self.run_once(arguments),
            Section::Tool { program: "openssl", arguments } => self.openssl(arguments),
            Section::Tool { arguments, .. } => self.start().and_then(|()| self.curl(arguments)),
            Section::Log { .. } => Ok(()),
        }
    }

    fn start(&mut self) -> Result<(), String> {
        if self.server.is_some() || self.ended {
            return Ok(());
        }
        let server = Server::start(self.binary, self.place, &self.conf, &self.options);
        self.server = Some(server.map_err(|e| format!("=== start\n{e}"))?);
        Ok(())
    }

    fn exchange(&mut self, exchange: &Exchange) {
        self.out.push_str(&format!("=== {}\n", exchange.title));
        let text = match &exchange.until {
            None => self.play(exchange),
            Some(until) => poll(|| {
                let text = self.play(exchange);
                let come = match &until.file {
                    None => text.contains(&until.text),
                    Some(file) => self.file_has(file, &until.text),
                };
                come.then_some(text)
            })
            .unwrap_or_else(|| format!("~ \"{}\" never came\n", until.text)),
        };
        self.out.push_str(&text);
    }

    fn play(&mut self, exchange: &Exchange) -> String {
        let kept = exchange.name.as_ref().and_then(|name| self.open.remove(name));
        let default = || format!("127.0.0.1:{}", self.place.ports.actual(8080).unwrap_or(8080));
        let wire = match kept {
            Some(wire) => Ok(wire),
            None => Wire::connect(&exchange.at.clone().unwrap_or_else(default)),
        };
        let mut wire = match wire {
            Ok(wire) => wire,
            Err(error) => return format!("~ cannot connect: {error}\n"),
        };
        let mut text = String::new();
        play(&mut wire, &exchange.steps, &mut |part| text.push_str(part));
        if let Some(name) = &exchange.name {
            self.open.insert(name.clone(), wire);
        }
        text
    }

    fn refused(&mut self, at: &str) {
        let refused = poll(|| match Wire::connect(at) {
            Err(e) if e.kind() == ErrorKind::ConnectionRefused || e.kind() == ErrorKind::NotFound => Some(()),
            _ => None,
        });
        let word = refused.map_or("~ still accepted", |()| "~ refused");
        self.out.push_str(&format!("=== refused {at}\n{word}\n"));
    }

    fn signal(&mut self, name: &str) -> Result<(), String> {
        let signal = match name {
            "HUP" => Signal::HUP,
            "USR1" => Signal::USR1,
            "USR2" => Signal::USR2,
            "WINCH" => Signal::WINCH,
            "QUIT" => Signal::QUIT,
            "TERM" => Signal::TERM,
            "INT" => Signal::INT,
            _ => return Err(format!("~ no signal {name}\n")),
        };
        let server = self.server.as_ref().ok_or("~ no server\n")?;
        server.signal(signal).map_err(|e| format!("~ {name}: {e}\n"))
    }

    fn wait(&mut self, path: &str, text: &str) {
        if poll(|| self.file_has(path, text).then_some(())).is_none() {
            self.out.push_str(&format!("=== wait {path}\n~ \"{text}\" never came\n"));
        }
    }

    fn file_has(&self, path: &str, text: &str) -> bool {
        fs::read(self.place.join(path)).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
    }

    fn reached(&mut self, at: &str, text: &str) {
        let has = || self.backends.iter().any(|(known, backend)| known == at && backend.has_received(text));
        if poll(|| has().then_some(())).is_none() {
            self.out.push_str(&format!("=== reached {at}\n~ \"{text}\" never came\n"));
        }
    }

    fn exit(&mut self) {
        let code = self.server.as_mut().and_then(|server| server.wait(PATIENCE));
        self.ended = code.is_some();
        let code = code.map_or("~ still runs".to_owned(), |code| format!("~ exit {code}"));
        self.out.push_str(&format!("=== exit\n{code}\n"));
    }

    fn run_once(&mut self, arguments: &[String]) -> Result<(), String> {
        let output =
            server::run(self.binary, self.place, arguments, &self.options).map_err(|e| format!("~ run: {e}\n"))?;
        self.out.push_str(&format!("=== run {}\n", arguments.join(" ")));
        if !output.stdout.is_empty() {
            self.out.push_str(&format!("~ stdout\n{}", lines(&output.stdout)));
        }
        if !output.stderr.is_empty() {
            self.out.push_str(&format!("~ stderr\n{}", lines(&output.stderr)));
        }
        let code = output.status.code().map_or_else(|| output.status.to_string(), |c| c.to_string());
        self.out.push_str(&format!("~ exit {code}\n"));
        Ok(())
    }

    /// Makes keys and certificates, or takes up a session: the case reads the files that come of it.
    fn openssl(&self, arguments: &[String]) -> Result<(), String> {
        let mut command = Command::new("openssl");
        command.args(arguments).current_dir(self.place.join("")).stdin(Stdio::null());
        let output = command.output().map_err(|e| format!("~ openssl: {e}\n"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("~ openssl failed\n{}", lines(&output.stderr)))
    }

    /// One transfer, its head included; certificates are not looked at.
    fn curl(&mut self, arguments: &[String]) -> Result<(), String> {
        let mut command = Command::new("curl");
        command.args(["-q", "-sS", "-i", "-k", "--max-time", "10"]).args(arguments).current_dir(self.place.join(""));
        let output = command.output().map_err(|e| format!("~ curl: {e}\n"))?;
        self.out.push_str(&format!("=== curl {}\n", arguments.join(" ")));
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            let line = match line.split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("date") => format!("{name}: {}", normal::date(value)),
                _ => line.to_owned(),
            };
            self.out.push_str(&format!("{}\n", line.trim_end()));
        }
        if let Some(code) = output.status.code().filter(|code| *code != 0) {
            self.out.push_str(&format!("~ curl gives up with {code}\n"));
        }
        Ok(())
    }

    /// Stops everything, and writes what the server printed and what the backends received.
    fn finish(&mut self) {
        self.open.clear();
        if let Some(mut server) = self.server.take() {
            if !self.ended && server.pid().is_none() {
                self.out.push_str("~ the server had ended\n");
            }
            if !server.stop() {
                self.out.push_str("~ the server did not end on QUIT and TERM\n");
            }
            let printed = server.printed();
            if !printed.is_empty() {
                self.out.push_str(&format!("=== stderr\n{}", lines(printed.as_bytes())));
            }
        }
        for (at, backend) in self.backends.drain(..) {
            for (n, text) in backend.finish().into_iter().enumerate().filter(|(_, t)| !t.is_empty()) {
                self.out.push_str(&format!("=== backend {at}, connection {}\n{text}", n + 1));
            }
        }
    }

    fn log(&mut self, path: &str, sorted: bool) {
        let mut text = match fs::read(self.place.join(path)) {
            Ok(bytes) => lines(&bytes),
            Err(_) => "~ no such file\n".to_owned(),
        };
        if sorted {
            text = normalise(&self.place.undo(&text));
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            lines.sort_unstable();
            text = lines.concat();
        }
        self.out.push_str(&format!("=== log {path}\n{text}"));
    }
}

fn said(result: std::io::Result<()>) -> Result<(), String> {
    result.map_err(|e| format!("~ {e}\n"))
}

/// Text that a program wrote for people, escaped but never cut short.
fn lines(bytes: &[u8]) -> String {
    let line = |l: &[u8]| text::escape_line(l) + "\n";
    bytes.split_inclusive(|b| *b == b'\n').map(|l| line(l.strip_suffix(b"\n").unwrap_or(l))).collect()
}
