//! The steps of one connection, as a client or a backend plays them: `> bytes`, `< what is read`, and a few words.

use std::time::Duration;

use super::text::{unescape, unescape_lines};

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `> line`, one after the other: one write.
    Send(Vec<u8>),
    /// `< response`
    Response,
    /// `< head`: a response that has no body.
    Head,
    /// `< request`
    Request,
    /// `< request head`: without its body.
    RequestHead,
    /// `< N bytes`
    Bytes(usize),
    /// `< "text"`: up to and with the text.
    Until(Vec<u8>),
    /// `< close`: everything, until the other side closes.
    Close,
    /// `pause 20ms`: what is sent next is another packet.
    Pause(Duration),
    /// `half-close`: nothing more will be sent.
    HalfClose,
    /// `reset`: ends the connection with RST.
    Reset,
    /// `raw text`: bytes as they are, whatever the backend speaks.
    Raw(Vec<u8>),
    /// `stderr text`: FastCGI's record for the error log.
    Stderr(Vec<u8>),
    /// `end`: FastCGI's end of an answer.
    End,
    /// `echo`: a tunnel's far end.
    Echo,
    /// `repeat`: from the first step again.
    Repeat,
}

/// Steps from their lines; empty lines and `#` comments do nothing.
///
/// # Errors
/// The sentence names the line that is no step.
pub fn parse(lines: &[&str]) -> Result<Vec<Step>, String> {
    let mut steps = Vec::new();
    let mut sent = Vec::new();
    for line in lines {
        if let Some(text) = line.strip_prefix('>') {
            sent.push(text.strip_prefix(' ').unwrap_or(text));
            continue;
        }
        flush(&mut sent, &mut steps)?;
        if !line.trim().is_empty() && !line.starts_with('#') {
            steps.push(step(line.trim())?);
        }
    }
    flush(&mut sent, &mut steps)?;
    Ok(steps)
}

fn flush(sent: &mut Vec<&str>, steps: &mut Vec<Step>) -> Result<(), String> {
    if !sent.is_empty() {
        steps.push(Step::Send(unescape_lines(sent, "\r\n")?));
        sent.clear();
    }
    Ok(())
}

fn step(line: &str) -> Result<Step, String> {
    let bad = || format!("no such step: \"{line}\"");
    if let Some(what) = line.strip_prefix("< ") {
        return read_step(what).ok_or_else(bad);
    }
    if let Some(time) = line.strip_prefix("pause ") {
        let ms = time.strip_suffix("ms").and_then(|t| t.parse().ok()).ok_or_else(bad)?;
        return Ok(Step::Pause(Duration::from_millis(ms)));
    }
    if let Some(text) = line.strip_prefix("raw ") {
        return Ok(Step::Raw(unescape(text)?));
    }
    if let Some(text) = line.strip_prefix("stderr ") {
        return Ok(Step::Stderr(unescape(text)?));
    }
    match line {
        "end" => Ok(Step::End),
        "half-close" => Ok(Step::HalfClose),
        "reset" => Ok(Step::Reset),
        "echo" => Ok(Step::Echo),
        "repeat" => Ok(Step::Repeat),
        _ => Err(bad()),
    }
}

fn read_step(what: &str) -> Option<Step> {
    let quoted = what.strip_prefix('"').and_then(|w| w.strip_suffix('"'));
    if let Some(text) = quoted {
        return Some(Step::Until(unescape(text).ok()?));
    }
    if let Some(count) = what.strip_suffix(" bytes") {
        return Some(Step::Bytes(count.parse().ok()?));
    }
    match what {
        "response" => Some(Step::Response),
        "head" => Some(Step::Head),
        "request" => Some(Step::Request),
        "request head" => Some(Step::RequestHead),
        "close" => Some(Step::Close),
        _ => None,
    }
}
