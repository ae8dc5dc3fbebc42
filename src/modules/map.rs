//! `map`: a variable whose value depends on another. <https://nginx.org/en/docs/http/ngx_http_map_module.html>

use crate::conf::{Args, Command, Ctx, Module, SetResult};
use crate::diag::Diagnostic;
use crate::http::{Compute, Getter, HostFault, HostTable, Regex, Request, Script};
use crate::syntax::Directive;

/// `ngx_http_map_module`.
pub struct Map;

impl Module for Map {
    type Conf = ();
    const NAME: &'static str = "http_map";
    const COMMANDS: &'static [Command<()>] = &[Command::custom("map", add)];
}

fn add(_c: &mut (), args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let source = ctx.script(args.word(1))?;
    let mut builder = Builder { table: Table::new(source), default: None, hostnames: false, volatile: false };
    for row in args.directive().children() {
        if let Err(fault) = builder.row(row, ctx) {
            ctx.complain_in(row, fault);
        }
    }
    let Builder { mut table, default, hostnames, volatile } = builder;
    table.hostnames = hostnames;
    table.default = default.unwrap_or(table.default);
    ctx.define_variable(args.word(2), Getter::Computed(Box::new(table)), !volatile)?;
    Ok(())
}

struct Builder {
    table: Table,
    default: Option<Script>,
    hostnames: bool,
    volatile: bool,
}

impl Builder {
    fn row(&mut self, row: &Directive, ctx: &mut Ctx<'_>) -> SetResult {
        let fault = |message: String| Err(Diagnostic::error("invalid-map", message).at(row.name.span));
        let key = &row.name.value;
        let [value] = &row.args[..] else {
            match &key[..] {
                b"hostnames" => self.hostnames = true,
                b"volatile" => self.volatile = true,
                // The check has complained about other numbers of words.
                _ => {}
            }
            return Ok(());
        };
        let value = ctx.script(value)?;
        if **key == *b"default" {
            // The check has complained about a second one.
            self.default.get_or_insert(value);
            return Ok(());
        }
        if let Some(pattern) = key.strip_prefix(b"~") {
            let (pattern, caseless) = match pattern.strip_prefix(b"*") {
                Some(pattern) => (pattern, true),
                None => (pattern, false),
            };
            let regex = ctx.regex(&row.name, pattern, caseless)?;
            self.table.regexes.push((regex, value));
            return Ok(());
        }
        let name = key.strip_prefix(b"\\").unwrap_or(key);
        let names = &mut self.table.names;
        let added = if self.hostnames { names.insert(name, value) } else { names.insert_exact(name, value) };
        match added {
            Ok(()) => Ok(()),
            Err(HostFault::Invalid) => {
                fault(format!("invalid hostname or wildcard \"{}\"", String::from_utf8_lossy(name)))
            }
            // nginx has turned the name into lower case by now.
            Err(HostFault::Conflict) => {
                let name = name.to_ascii_lowercase();
                fault(format!("conflicting parameter \"{}\"", String::from_utf8_lossy(&name)))
            }
        }
    }
}

/// A map at request time.
struct Table {
    source: Script,
    names: HostTable<Script>,
    regexes: Vec<(Regex, Script)>,
    default: Script,
    /// A dot at the end of the source's value does not count.
    hostnames: bool,
}

impl Table {
    fn new(source: Script) -> Self {
        let (names, default) = (HostTable::default(), Script::constant(""));
        Self { source, names, regexes: Vec::new(), default, hostnames: false }
    }

    fn find(&self, r: &Request, key: &[u8]) -> &Script {
        let found = match key.iter().any(u8::is_ascii_uppercase) {
            true => self.names.find(&key.to_ascii_lowercase()),
            false => self.names.find(key),
        };
        if let Some(value) = found {
            return value;
        }
        if !key.is_empty() {
            for (regex, value) in &self.regexes {
                match regex.exec(r, key) {
                    Ok(true) => return value,
                    Ok(false) => {}
                    Err(_) => break,
                }
            }
        }
        &self.default
    }
}

impl Compute for Table {
    fn compute(&self, r: &Request, out: &mut Vec<u8>) -> bool {
        let key = self.source.eval(r);
        let key = match &key[..] {
            [name @ .., b'.'] if self.hostnames => name,
            key => key,
        };
        self.find(r, key).append(r, out);
        true
    }
}
