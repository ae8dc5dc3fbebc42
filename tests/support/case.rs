//! A case as text: the sections of its `.http` file. The format is told in `conformance/README.md`.

use super::backend::Manner;
use super::gateway::Dialect;
use super::script::{self, Step};
use super::server::Options;
use super::text::{unescape, unescape_lines};

/// One section; all are carried out in the order in which they stand.
#[derive(Clone, Debug)]
pub enum Section {
    File {
        path: String,
        content: Vec<u8>,
        mtime: Option<u64>,
        mode: Option<u32>,
    },
    Dir(String),
    Symlink {
        link: String,
        target: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Remove(String),
    Chmod {
        mode: u32,
        path: String,
    },
    Backend {
        at: String,
        manner: Manner,
        dialect: Dialect,
    },
    Start,
    Exchange(Exchange),
    Refused(String),
    Signal(String),
    Wait {
        path: String,
        text: String,
    },
    Reached {
        at: String,
        text: String,
    },
    Close(String),
    Exit,
    Run(Vec<String>),
    /// `curl` or `openssl`; only what `curl` prints is recorded.
    Tool {
        program: &'static str,
        arguments: Vec<String>,
    },
    /// At the end; `sorted` where the order is chance.
    Log {
        path: String,
        sorted: bool,
    },
}

/// Steps on one connection from the client's side.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The section's own line.
    pub title: String,
    /// A named connection stays open for later sections of that name.
    pub name: Option<String>,
    /// `None`: 127.0.0.1:8080.
    pub at: Option<String>,
    pub steps: Vec<Step>,
    /// Repeated, each time on a new connection.
    pub until: Option<Until>,
}

/// A text that has to come in the transcript, or in a file.
#[derive(Clone, Debug)]
pub struct Until {
    pub file: Option<String>,
    pub text: String,
}

#[derive(Clone, Debug, Default)]
pub struct Script {
    pub sections: Vec<Section>,
    pub options: Options,
    /// `root` or `ipv6`: without it the case is passed over.
    pub requires: Vec<String>,
    pub differences: Vec<Difference>,
}

/// Where rnginx means to say something else than nginx: whole lines of both, and the reason stands in the section's title.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    pub nginx: String,
    pub ours: String,
}

/// Reads the text of a `.http` file.
///
/// # Errors
/// The section's line and what is wrong with it.
pub fn parse(text: &str) -> Result<Script, String> {
    let mut script = Script::default();
    for block in split(text)? {
        let (title, lines) = block;
        add(&mut script, title, &lines).map_err(|e| format!("=== {title}: {e}"))?;
    }
    if script.sections.is_empty() {
        script.sections.push(Section::Run(vec!["-t".to_owned()]));
    }
    Ok(script)
}

/// Title and lines of each section; blank lines at a section's end do not count.
fn split(text: &str) -> Result<Vec<(&str, Vec<&str>)>, String> {
    let mut blocks: Vec<(&str, Vec<&str>)> = Vec::new();
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("=== ") {
            blocks.push((title.trim(), Vec::new()));
        } else if let Some((_, lines)) = blocks.last_mut() {
            lines.push(line);
        } else if !line.is_empty() && !line.starts_with('#') {
            return Err(format!("\"{line}\" stands before the first section"));
        }
    }
    for (_, lines) in &mut blocks {
        while lines.last().is_some_and(|l| l.trim().is_empty()) {
            lines.pop();
        }
    }
    Ok(blocks)
}

fn add(script: &mut Script, title: &str, lines: &[&str]) -> Result<(), String> {
    let (word, rest) = title.split_once(' ').unwrap_or((title, ""));
    match word {
        "requires" => script.requires.push(rest.to_owned()),
        "globals" => script.options.globals.push_str(rest),
        "env" => {
            let (name, value) = rest.split_once('=').ok_or("env NAME=VALUE")?;
            script.options.env.push((name.to_owned(), value.to_owned()));
        }
        "backend" => add_backend(script, rest, lines)?,
        "differs" => script.differences.push(difference(rest, lines)?),
        _ => script.sections.push(section(title, word, rest, lines)?),
    }
    Ok(())
}

/// `differs REASON`, then nginx's lines after `- ` and ours after `+ `.
fn difference(reason: &str, lines: &[&str]) -> Result<Difference, String> {
    let mut difference = Difference::default();
    for line in lines {
        let (side, text) = match line.split_at_checked(2) {
            Some(("- ", text)) => (&mut difference.nginx, text),
            Some(("+ ", text)) => (&mut difference.ours, text),
            _ => return Err("each line begins with \"- \" or \"+ \"".to_owned()),
        };
        side.push_str(text);
        side.push('\n');
    }
    let told = !reason.is_empty() && !difference.nginx.is_empty() && !difference.ours.is_empty();
    told.then_some(difference).ok_or_else(|| "a reason and lines of both are needed".to_owned())
}

fn section(title: &str, word: &str, rest: &str, lines: &[&str]) -> Result<Section, String> {
    Ok(match word {
        "file" => file(rest, lines)?,
        "dir" => Section::Dir(path(rest)?),
        "remove" => Section::Remove(rest.to_owned()),
        "chmod" => {
            let (mode, path) = rest.split_once(' ').ok_or("chmod MODE PATH")?;
            let mode = u32::from_str_radix(mode, 8).map_err(|e| e.to_string())?;
            let path = path.to_owned();
            Section::Chmod { mode, path }
        }
        "rename" => two(rest, |from, to| Section::Rename { from, to })?,
        "symlink" => two(rest, |link, target| Section::Symlink { link, target })?,
        "start" => Section::Start,
        "exit" => Section::Exit,
        "signal" => Section::Signal(rest.to_owned()),
        "refused" => Section::Refused(rest.to_owned()),
        "log" => match rest.split_once(" sorted") {
            Some((path, _)) => Section::Log { path: path.to_owned(), sorted: true },
            None => Section::Log { path: rest.to_owned(), sorted: false },
        },
        "run" => Section::Run(rest.split_whitespace().map(str::to_owned).collect()),
        "curl" => Section::Tool { program: "curl", arguments: words(rest)? },
        "openssl" => Section::Tool { program: "openssl", arguments: words(rest)? },
        "wait" => quoted(rest, |path, text| Section::Wait { path, text })?,
        "reached" => quoted(rest, |at, text| Section::Reached { at, text })?,
        "close" => Section::Close(rest.to_owned()),
        "connection" => connection(title, rest, lines)?,
        _ if word.chars().all(|c| c.is_ascii_uppercase()) => request(title, word, rest, lines)?,
        _ => return Err("no such section".to_owned()),
    })
}

fn two(rest: &str, make: impl Fn(String, String) -> Section) -> Result<Section, String> {
    let (a, b) = rest.split_once(' ').ok_or("two paths are needed")?;
    Ok(make(a.to_owned(), b.to_owned()))
}

/// A path of a section: a space in it is written `\s`.
fn path(text: &str) -> Result<String, String> {
    String::from_utf8(unescape(text)?).map_err(|e| e.to_string())
}

/// `file PATH [mtime=SECONDS] [mode=OCTAL]`
fn file(rest: &str, lines: &[&str]) -> Result<Section, String> {
    let mut words = rest.split_whitespace();
    let path = path(words.next().ok_or("a path is needed")?)?;
    let (mut mtime, mut mode) = (None, None);
    for word in words {
        let bad = |_| format!("bad \"{word}\"");
        if let Some(seconds) = word.strip_prefix("mtime=") {
            mtime = Some(seconds.parse().map_err(bad)?);
        } else if let Some(octal) = word.strip_prefix("mode=") {
            mode = Some(u32::from_str_radix(octal, 8).map_err(bad)?);
        } else {
            return Err(format!("unknown \"{word}\""));
        }
    }
    let content = unescape_lines(lines, "\n")?;
    Ok(Section::File { path, content, mtime, mode })
}

/// `backend ADDRESS [full|fastcgi|uwsgi|scgi]`; without steps it echoes, more sections for one address are its further connections.
fn add_backend(script: &mut Script, rest: &str, lines: &[&str]) -> Result<(), String> {
    let (at, word) = rest.split_once(' ').unwrap_or((rest, ""));
    let steps = script::parse(lines)?;
    for section in &mut script.sections {
        if let Section::Backend { at: known, manner: Manner::Scripts(scripts), .. } = section
            && known == at
        {
            scripts.push(steps);
            return Ok(());
        }
    }
    let dialect = Dialect::named(word).unwrap_or_default();
    let manner = match word {
        "full" => Manner::Full,
        "" if steps.is_empty() => Manner::Echo,
        "" => Manner::Scripts(vec![steps]),
        _ if dialect == Dialect::Http => return Err(format!("unknown \"{word}\"")),
        _ if steps.is_empty() => Manner::Echo,
        _ => Manner::Scripts(vec![steps]),
    };
    script.sections.push(Section::Backend { at: at.to_owned(), manner, dialect });
    Ok(())
}

/// A word and a text in quotes.
fn quoted(rest: &str, make: impl Fn(String, String) -> Section) -> Result<Section, String> {
    let (word, text) = rest.split_once(" \"").ok_or("a word and a \"text\" are needed")?;
    let text = text.strip_suffix('"').ok_or("the text has no end")?;
    Ok(make(word.to_owned(), text.to_owned()))
}

/// `connection [NAME] [via ADDRESS]`
fn connection(title: &str, rest: &str, lines: &[&str]) -> Result<Section, String> {
    let (name, at) = via(rest);
    let name = (!name.is_empty()).then(|| name.to_owned());
    let steps = script::parse(lines)?;
    Ok(Section::Exchange(Exchange { title: title.to_owned(), name, at, steps, until: None }))
}

fn via(rest: &str) -> (&str, Option<String>) {
    match rest.split_once("via ") {
        Some((before, at)) => (before.trim(), Some(at.trim().to_owned())),
        None => (rest.trim(), None),
    }
}

/// `METHOD TARGET [HTTP/1.0] [via ADDRESS] [until "text"]`: a whole exchange with the usual headers filled in.
fn request(title: &str, method: &str, rest: &str, lines: &[&str]) -> Result<Section, String> {
    let (rest, until) = match rest.split_once(" until ") {
        Some((rest, what)) => (rest, Some(until(what)?)),
        None => (rest, None),
    };
    let (line, at) = via(rest);
    let (target, version) = line.split_once(' ').unwrap_or((line, "HTTP/1.1"));
    let mut bytes = unescape(&format!("{method} {target} {version}\r\n"))?;
    bytes.extend(headers_and_body(lines, version)?);
    let steps = vec![Step::Send(bytes), Step::Close];
    Ok(Section::Exchange(Exchange { title: title.to_owned(), name: None, at, steps, until }))
}

/// `"text"` or `FILE "text"`
fn until(what: &str) -> Result<Until, String> {
    let (file, text) = what.split_once('"').ok_or("a text in quotes is needed")?;
    let text = text.strip_suffix('"').ok_or("the text has no end")?.to_owned();
    let file = Some(file.trim().to_owned()).filter(|file| !file.is_empty());
    Ok(Until { file, text })
}

fn headers_and_body(lines: &[&str], version: &str) -> Result<Vec<u8>, String> {
    let blank = lines.iter().position(|l| l.is_empty()).unwrap_or(lines.len());
    let (headers, body) = lines.split_at(blank);
    let given = |name: &str| {
        let is = |l: &&str| l.split(':').next().is_some_and(|k| k.eq_ignore_ascii_case(name));
        headers.iter().any(is)
    };
    let mut body = unescape_lines(body.get(1..).unwrap_or_default(), "\n")?;
    if body.last() == Some(&b'\n') {
        body.pop();
    }
    let mut out = Vec::new();
    if !given("host") {
        out.extend_from_slice(b"Host: localhost\r\n");
    }
    let real: Vec<&str> = headers.iter().copied().filter(|l| !l.starts_with('#')).collect();
    out.extend(unescape_lines(&real, "\r\n")?);
    if !body.is_empty() && !given("content-length") && !given("transfer-encoding") {
        out.extend_from_slice(format!("Content-Length: {}\r\n", body.len()).as_bytes());
    }
    if version == "HTTP/1.1" && !given("connection") {
        out.extend_from_slice(b"Connection: close\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend(body);
    Ok(out)
}

/// Words, each with its escapes.
fn words(text: &str) -> Result<Vec<String>, String> {
    text.split_whitespace().map(|word| Ok(String::from_utf8_lossy(&unescape(word)?).into_owned())).collect()
}
