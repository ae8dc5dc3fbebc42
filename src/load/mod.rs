//! Files to one tree: the only reader of configuration files.

mod files;
mod form;
mod glob;
mod include;
mod sentence;
mod sources;

pub use files::{Disk, Files, Memory};
pub use form::Form;
pub(crate) use form::meant_name;
pub use sentence::{level, sentence};
pub use sources::{NOT_RUN, Origin, Source, Sources};

use include::{Lines, Reader};

use crate::{
    diag::{Diagnostic, FileId},
    schema::Schema,
    syntax::{Directive, parse_parameter},
};

/// What to load.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The main file's whole path, as nginx prints it.
    pub path: String,
    /// What relative names in `include` stand under; the main file's folder where it is not said.
    pub folder: Option<String>,
    /// What the `-g` option says.
    pub parameter: Option<String>,
    /// What the main file holds; recognised where it is not said.
    pub form: Option<Form>,
    /// What is supplied around a main file that is not a whole configuration.
    pub supply: Supply,
}

impl Options {
    /// The main file with this path, everything else as usual.
    pub fn new(path: impl Into<String>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }
}

/// The arguments of directives that are supplied around a site or a fragment; none: not supplied.
#[derive(Clone, Debug)]
pub struct Supply {
    /// `pid`
    pub pid: Option<String>,
    /// `error_log`
    pub error_log: Option<String>,
    /// `access_log`
    pub access_log: Option<String>,
}

impl Default for Supply {
    /// Under the prefix, where nginx puts them by itself.
    fn default() -> Self {
        let (pid, error_log, access_log) = ("logs/nginx.pid", "logs/error.log", "logs/access.log");
        Self { pid: Some(pid.into()), error_log: Some(error_log.into()), access_log: Some(access_log.into()) }
    }
}

/// A configuration that was read: one tree, every `include` replaced by what it names.
#[derive(Debug)]
pub struct Loaded {
    /// The texts that the spans point into.
    pub sources: Sources,
    /// The directives outside of all blocks: those of `-g` first.
    pub root: Vec<Directive>,
    /// What the main file holds.
    pub form: Form,
}

impl Loaded {
    /// A text as a whole configuration, site or fragment, without files. Names in `include` are not found.
    pub fn from_text(name: &str, text: &str) -> (Self, Vec<Diagnostic>) {
        load(&Memory::default().with(name, text), Schema::nginx(), &Options::new(name))
    }
}

/// Reads a configuration. There is always a tree; what is wrong with files and syntax is in the diagnostics, not sorted.
pub fn load(files: &dyn Files, schema: &Schema, options: &Options) -> (Loaded, Vec<Diagnostic>) {
    let own = options.path.rfind('/').map_or("", |slash| &options.path[..=slash]);
    let folder = options.folder.as_deref().unwrap_or(own);
    let mut reader = Reader::new(files, schema, folder.as_bytes());
    let mut root = options.parameter.as_ref().map_or_else(Vec::new, |text| parameter(&mut reader, text));
    let main = FileId(reader.sources.iter().count() as u32);
    let directives = reader.file(options.path.clone().into_bytes(), None, Lines::Include).unwrap_or_else(|sentence| {
        reader.faults.push(Diagnostic::error("missing-file", sentence));
        Vec::new()
    });
    let readable = reader.sources.iter().count() > main.0 as usize;
    let form = match options.form {
        Some(form) if readable => form,
        None if readable => Form::of(schema, &options.path, &directives),
        _ => Form::Full,
    };
    let directives = form::complete(&mut reader, form, main, directives, &root, &options.supply);
    root.extend(directives);
    (Loaded { sources: reader.sources, root, form }, reader.faults)
}

/// The `-g` option, as a text of its own.
fn parameter(reader: &mut Reader<'_>, text: &str) -> Vec<Directive> {
    let file = reader.sources.add(Source::new("command line", text.as_bytes(), Origin::CommandLine));
    let (tree, faults) = parse_parameter(file, text.as_bytes());
    reader.faults.extend(faults);
    reader.splice(tree, Lines::Include)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Memory {
        Memory::default()
            .with("/etc/nginx/nginx.conf", "events { }\nhttp {\n include conf.d/*.conf;\n include none/*.conf;\n}\n")
            .with("/etc/nginx/conf.d/b.conf", "server { include snippets/root; }")
            .with("/etc/nginx/conf.d/a.conf", "types { include mime; }\nsplit_clients $a $b { include x; }")
            .with("/etc/nginx/mime", "text/html html;")
            .with("/etc/nginx/snippets/root", "root /srv;")
    }

    fn read(files: &Memory, path: &str) -> (Loaded, Vec<String>) {
        let (loaded, mut faults) = load(files, Schema::nginx(), &Options::new(path));
        loaded.sources.sort(&mut faults);
        let place = |fault: &Diagnostic| fault.nginx_at.map_or(String::new(), |at| loaded.sources.place(at));
        let faults = faults.iter().map(|fault| format!("{} in {}", fault.message, place(fault))).collect();
        (loaded, faults)
    }

    #[test]
    fn includes_are_replaced_by_what_they_name() {
        let (loaded, faults) = read(&files(), "/etc/nginx/nginx.conf");
        assert_eq!(faults, Vec::<String>::new());
        let http = loaded.root[1].children();
        let names: Vec<_> = http.iter().map(|directive| directive.name.text()).collect();
        assert_eq!(names, ["types", "split_clients", "server"]);
        assert_eq!(http[0].children()[0].name.text(), "text/html");
        assert_eq!(http[1].children()[0].name.text(), "include");
        assert_eq!(http[2].children()[0].name.text(), "root");
        assert_eq!(loaded.form, Form::Full);
    }

    #[test]
    fn each_file_balances_on_its_own() {
        let files =
            Memory::default().with("/n", "events { }\nhttp {\n include /s;\n}").with("/s", "server {\n}\n}\nmap {");
        let faults = read(&files, "/n").1;
        assert_eq!(faults, ["unexpected \"}\" in /s:3", "unexpected end of file, expecting \"}\" in /s:4"]);
    }

    #[test]
    fn missing_files_are_nginx_errors() {
        let files =
            Memory::default().with("/c/n", "events { }\ninclude mime.type;\ninclude\n/x/y;").with("/c/mime.types", "");
        let (loaded, faults) = load(&files, Schema::nginx(), &Options::new("/c/n"));
        let sentences: Vec<_> = faults.iter().map(|fault| fault.message.as_str()).collect();
        let missing = |name| format!("open() \"{name}\" failed (2: No such file or directory)");
        assert_eq!(sentences, [missing("/c/mime.type"), missing("/x/y")]);
        assert_eq!(faults[0].help.as_deref(), Some("there is a file /c/mime.types"));
        assert_eq!(loaded.sources.place(faults[1].nginx_at.expect("a place")), "/c/n:4");
        let (_, faults) = load(&files, Schema::nginx(), &Options::new("/none"));
        assert_eq!((faults[0].message.as_str(), faults[0].at), (missing("/none").as_str(), None));
    }

    #[test]
    fn cycles_end() {
        let files = Memory::default().with("/a", "include /b;").with("/b", "pid x;\ninclude /a;");
        assert_eq!(read(&files, "/a").1, ["\"/a\" includes itself in /b:2"]);
    }

    #[test]
    fn the_command_line_comes_first() {
        let options = Options { parameter: Some("daemon off; bogus".into()), ..Options::new("/n") };
        let (loaded, faults) = load(&Memory::default().with("/n", "events { }"), Schema::nginx(), &options);
        assert_eq!(loaded.root[0].name.text(), "daemon");
        assert_eq!(loaded.sources.place(faults[0].nginx_at.expect("a place")), "command line");
    }

    #[test]
    fn a_fragment_gets_the_blocks_around_it() {
        let files = Memory::default().with("/n", "location / {\n root /a\n}");
        let (loaded, faults) = read(&files, "/n");
        let http = &loaded.root.last().expect("http").children();
        let server = http.last().expect("a server");
        assert_eq!((loaded.form, server.children()[0].name.text()), (Form::Fragment, "location".into()));
        assert!(http.iter().any(|directive| directive.children().len() > 70));
        assert_eq!(faults[0], "unexpected \"}\" in /n:3");
        assert!(faults[1].starts_with("/n holds locations only"));
    }

    #[test]
    fn a_site_keeps_what_it_says_itself() {
        let text = "default_type text/plain; types { } access_log off; server { }";
        let options = Options { parameter: Some("pid /p;".into()), ..Options::new("/n") };
        let (loaded, _) = load(&Memory::default().with("/n", text), Schema::nginx(), &options);
        let names =
            |directives: &[Directive]| directives.iter().map(|one| one.name.text().into()).collect::<Vec<String>>();
        assert_eq!(names(&loaded.root), ["pid", "error_log", "events", "http"]);
        assert_eq!(names(loaded.root[3].children()), ["default_type", "types", "access_log", "server"]);
    }
}
