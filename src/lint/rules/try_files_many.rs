//! `try-files-many`: many looks at the disk for each request.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View},
    load::Form,
};

/// So many names are usual: the path, a folder, an ending, a page for all the rest.
const USUAL: usize = 5;

pub(super) static RULE: Rule = Rule {
    code: "try-files-many",
    title: "Each request has many files looked for",
    why: "Every name in `try_files` is a question to the system, for each request, also for those that end at an application. \
          `open_file_cache` remembers the answers; fewer names are better still.",
    bad: "server {\n    listen 80;\n    root /srv/www;\n    location / {\n        try_files /maintenance.html $uri $uri.html $uri/index.html /cache$uri /cache$uri.html =404;\n    }\n}",
    good: "server {\n    listen 80;\n    root /srv/www;\n    open_file_cache max=1000;\n    open_file_cache_errors on;\n    location / {\n        \
           try_files /maintenance.html $uri $uri.html $uri/index.html /cache$uri /cache$uri.html =404;\n    }\n}",
    allow: "Where there are few requests.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for (block, found) in view.every("try_files") {
        let files = found.args.len().saturating_sub(1);
        // What would stand around locations alone is not known.
        let is_whole = matches!(view.form, Form::Full | Form::Site);
        if is_whole && files > USUAL && block.holds("open_file_cache").is_none() {
            out.push(
                RULE.at(found.span(), format!("each request has {files} files looked for"))
                    .help("add `open_file_cache max=1000;` and `open_file_cache_errors on;`"),
            );
        }
    }
}
