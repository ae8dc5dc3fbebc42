//! `rnginx explain`: which server and location answer a URL, why, and what becomes of the request.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::{Command, Operands, Outcome, Value, Words, WordsError, letter, option, read, stream::Given};
use crate::{
    cli::{output, terminal_of},
    inspect::{self, ExplainError, Explanation, Inspection, Lost, Options, Question, Reason, Step, inspect},
    load::{NOT_RUN, sentence},
    paths::Layout,
};

pub(super) const COMMAND: Command = Command {
    name: "explain",
    operands: Operands { shown: "URL", count: (1, 1), kind: Value::Text("URL") },
    summary: "Tells which server and location answer a URL, why, and what becomes of the request",
    about: "The request runs through the handlers that would serve it: rewrites, access, try_files, files. Nothing is sent to an\n\
            upstream, and what would be waited for is taken to go well. A URL is http://HOST/PATH, or a /PATH of the first server.",
    options: &[
        letter(
            'c',
            option(
                "conf",
                Value::Path,
                "the configuration, a site or a fragment of one; the system's where it is not said",
            ),
        ),
        letter(
            'H',
            option("header", Value::Text("'NAME: VALUE'"), "a header of the request; may stand there more than once"),
        ),
        letter('X', option("method", Value::Text("METHOD"), "the request's method; GET where it is not said")),
        option("from", Value::Text("ADDRESS"), "the client's address; 127.0.0.1 where it is not said"),
        option("format", Value::OneOf(&["human", "json"]), "how to print"),
    ],
    run,
};

fn run(words: &Words) -> Outcome {
    let path = words.value("conf").map_or_else(default_conf, |path| path.to_string_lossy().into_owned());
    let options = Options { without_rules: true, ..Options::new(path) };
    let look = inspect(&Given::new(options.path.as_ref())?, &options);
    if look.has_errors() {
        read::tell_errors(&look)?;
        return Ok(false);
    }
    warn(&look);
    let explained = match inspect::explain(look, &question(words)?) {
        Ok(explained) => explained,
        Err(error @ (ExplainError::Url(_) | ExplainError::NobodyListens(..))) => {
            return Err(WordsError::Value(error.to_string()).into());
        }
        Err(error) => {
            eprintln!("rnginx explain: {error}");
            return Ok(false);
        }
    };
    let mut out = io::stdout().lock();
    if words.text("format").as_deref() == Some("json") {
        serde_json::to_writer_pretty(&mut out, &as_json(&explained)).map_err(io::Error::from)?;
        writeln!(out)?;
    } else {
        let bold = matches!(terminal_of(&io::stdout()), Some(output::report::Style::Terminal { color: true, .. }));
        print(&mut out, &explained, bold)?;
    }
    Ok(true)
}

/// What is not run has no handler to ask.
fn warn(look: &Inspection) {
    for said in look.diagnostics.iter().filter(|said| said.code == NOT_RUN) {
        eprintln!("rnginx explain: told as if it were not there: {}", sentence(&look.loaded.sources, said));
    }
}

fn default_conf() -> String {
    let layout = Layout::chosen();
    if layout.conf.starts_with('/') { layout.conf.into() } else { format!("{}{}", layout.prefix, layout.conf) }
}

fn question(words: &Words) -> Result<Question, WordsError> {
    let url = words.operands().first().map(|url| url.to_string_lossy().into_owned()).unwrap_or_default();
    let mut question = Question::new(url);
    if let Some(method) = words.text("method") {
        question.method = method.into_owned();
    }
    question.headers = words.all("header").map(|line| line.to_string_lossy().into_owned()).collect();
    if let Some(from) = words.text("from") {
        let fault = || WordsError::Value(format!("--from {from}: that is no address"));
        question.from = from.parse().map_err(|_| fault())?;
    }
    Ok(question)
}

fn print(out: &mut dyn Write, explained: &Explanation, bold: bool) -> io::Result<()> {
    let strong = |text: &str| if bold { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() };
    writeln!(out, "{}\n", strong(&explained.request))?;
    let Explanation { listen, server, .. } = explained;
    writeln!(out, "listen    {}\n          {}", listen.what, listen.why)?;
    writeln!(out, "server    {}{}\n          {}", server.what, at(&server.place), server.why)?;
    for step in &explained.steps {
        print_step(out, step, &strong)?;
    }
    writeln!(out, "\n{}", strong(&ending(explained)))?;
    for (name, value) in &explained.headers {
        writeln!(out, "          {name}: {value}")?;
    }
    for Lost { directive, place, because } in &explained.lost {
        writeln!(
            out,
            "lost      {directive}{}\n          not inherited, because of the one{}",
            at(place),
            at(because)
        )?;
    }
    Ok(())
}

fn print_step(out: &mut dyn Write, step: &Step, strong: &dyn Fn(&str) -> String) -> io::Result<()> {
    match step {
        Step::Search { uri, tried, chosen } => {
            writeln!(out, "\nlocation for {uri}")?;
            for (index, Reason { what, place, why }) in tried.iter().enumerate() {
                let (mark, what) = if *chosen == Some(index) { ("→", strong(what)) } else { (" ", what.clone()) };
                writeln!(out, "        {mark} {what}{}\n            {why}", at(place))?;
            }
            if chosen.is_none() {
                writeln!(out, "        → none of them: the server block itself")?;
            }
        }
        Step::Handler { phase, module, said, log } => {
            writeln!(out, "{phase}: {module} {said}")?;
            for line in log {
                writeln!(out, "          {line}")?;
            }
        }
        Step::Moved(what) => writeln!(out, "{what}")?,
    }
    Ok(())
}

fn at(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!("  ({place})") }
}

fn ending(explained: &Explanation) -> String {
    match &explained.end {
        inspect::Outcome::Response { status, path: Some(path), .. } => format!("answer    {status}, {path}"),
        inspect::Outcome::Response { status, .. } => format!("answer    {status}"),
        inspect::Outcome::Sent { to: Some(to), .. } => format!("sent to   {to}, and to an answer of 200 is added"),
        inspect::Outcome::Sent { module, .. } => format!("sent on   by {module}, and to an answer of 200 is added"),
        inspect::Outcome::Closed(status) => format!("closed    without an answer ({status})"),
    }
}

fn as_json(explained: &Explanation) -> Json {
    let headers = explained.headers.iter().map(|(name, value)| json!({ "name": name, "value": value }));
    let lost = explained.lost.iter();
    let lost = lost.map(|lost| json!({ "directive": lost.directive, "place": lost.place, "because": lost.because }));
    json!({
        "request": explained.request,
        "host": explained.host,
        "listen": reason(&explained.listen),
        "server": reason(&explained.server),
        "steps": explained.steps.iter().map(step).collect::<Vec<_>>(),
        "end": end(explained),
        "headers": headers.collect::<Vec<_>>(),
        "lost": lost.collect::<Vec<_>>(),
    })
}

fn reason(reason: &Reason) -> Json {
    json!({ "what": reason.what, "place": reason.place, "why": reason.why })
}

fn step(step: &Step) -> Json {
    match step {
        Step::Search { uri, tried, chosen } => {
            json!({ "search": uri, "tried": tried.iter().map(reason).collect::<Vec<_>>(), "chosen": chosen })
        }
        Step::Handler { phase, module, said, log } => {
            json!({ "phase": phase, "module": module, "said": said, "log": log })
        }
        Step::Moved(what) => json!({ "moved": what }),
    }
}

fn end(explained: &Explanation) -> Json {
    match &explained.end {
        inspect::Outcome::Response { status, path, module } => {
            json!({ "status": status, "path": path, "module": module })
        }
        inspect::Outcome::Sent { module, to } => json!({ "sent_to": to, "module": module }),
        inspect::Outcome::Closed(status) => json!({ "closed": status }),
    }
}
