//! `rnginx check`: would nginx take this file, and what is doubtful about it?

use std::{
    collections::HashSet,
    io::{self, BufWriter, IsTerminal, Write},
    path::PathBuf,
};

use super::{Command, Failure, Operands, Outcome, Value, Words, WordsError, flag, option, read, stream::Given};
use crate::{
    cli::{output, terminal_of},
    diag::Severity,
    inspect::{Inspection, Options, inspect, machine},
    load::Origin,
    schema::Context,
};

pub(super) const COMMAND: Command = Command {
    name: "check",
    operands: Operands { shown: "PATH…", count: (1, usize::MAX), kind: Value::Path },
    summary: "Says everything that is wrong with configurations, and what is doubtful about them",
    about: "A PATH is a whole configuration, a file that is a part of one (a site, locations, the servers of an upstream,\n\
            MIME types, …), a folder of such files, or - for the standard input. Names that another file would define are\n\
            assumed in a part. What nginx has and rnginx does not run yet is a warning. The exit code is 0 without errors,\n\
            and 1 with.",
    options: &[
        flag(
            "offline",
            "leave alone what is beyond the file's own folder: files, certificates, hosts, users; they become notes",
        ),
        option("context", Value::OneOf(CONTEXTS), "the block that the files stand in; inferred where it is not said"),
        flag("system", "look at this machine too: sockets, folders, ports, upstreams, certificates"),
        option("format", Value::OneOf(output::FORMATS), "how to print; human on a terminal, nginx's lines elsewhere"),
        option("deny", Value::OneOf(&["warnings"]), "take warnings for errors"),
        flag("fix", "make the repairs that are surely meant, and say which"),
    ],
    run,
};

/// The words of `grammar/directives.conf`.
const CONTEXTS: &[&str] = &[
    "main",
    "events",
    "http",
    "server",
    "server-if",
    "location",
    "location-if",
    "limit_except",
    "upstream",
    "stream",
    "stream-server",
    "stream-upstream",
    "mail",
    "mail-server",
    "types",
    "map",
    "geo",
    "split_clients",
    "charset_map",
    "stream-geo",
];

fn run(words: &Words) -> Outcome {
    let context = words.text("context").and_then(|word| Context::named(&word));
    let format = words.text("format").map_or(output::Format::usual(io::stdout().is_terminal()), |word| {
        output::Format::named(&word).unwrap_or(output::Format::Nginx)
    });
    let found = read::files(words.operands())?;
    if found.is_empty() {
        return Err(WordsError::Value("there is no configuration in these folders".into()).into());
    }
    let mut looks = Looks { words, context, seen: HashSet::new(), done: Vec::new(), fixed: Vec::new() };
    for found in found {
        looks.at(&found)?;
    }
    let mut inspections = looks.done;
    if words.has("deny") {
        let all = inspections.iter_mut().flat_map(|look| &mut look.diagnostics);
        all.filter(|said| said.severity == Severity::Warning).for_each(|said| said.severity = Severity::Error);
    }
    let mut out = BufWriter::new(io::stdout().lock());
    for fixed in &looks.fixed {
        // Whoever reads JSON reads nothing else.
        eprintln!("{fixed}");
    }
    output::print(&mut out, &inspections, format, terminal_of(&io::stdout()))?;
    out.flush()?;
    let is_fine = !inspections.iter().any(Inspection::has_errors);
    // The process ends here: to free a large tree piece by piece would only take time.
    std::mem::forget(inspections);
    Ok(is_fine)
}

struct Looks<'w> {
    words: &'w Words,
    context: Option<Context>,
    /// Files that were read, as part of another one too.
    seen: HashSet<PathBuf>,
    done: Vec<Inspection>,
    fixed: Vec<String>,
}

impl Looks<'_> {
    fn at(&mut self, found: &read::Found) -> Result<(), Failure> {
        let real = |path: &std::path::Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if found.in_folder && self.seen.contains(&real(&found.path)) {
            return Ok(());
        }
        let options = Options {
            path: found.path.to_string_lossy().into_owned(),
            context: self.context,
            offline: self.words.has("offline"),
            to_run: false,
            without_rules: false,
            without_cycle: !self.words.has("system"),
        };
        let given = Given::new(&found.path)?;
        let mut look = inspect(&given, &options);
        if self.words.has("fix") {
            if given.is_stream() {
                return Err(WordsError::Value("--fix changes files, and this is none".into()).into());
            }
            look = super::fix::mend(look, &options, &mut self.fixed)?;
        }
        if self.words.has("system") {
            look.diagnostics.extend(machine(&look));
        }
        let files = look.loaded.sources.iter().filter(|source| source.origin == Origin::File);
        self.seen.extend(files.map(|source| real(source.name.as_ref())));
        self.done.push(look);
        Ok(())
    }
}
