//! `try-files-with-proxy`: try_files beside something that answers all requests.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View},
    schema::Context,
};

pub(super) static RULE: Rule = Rule {
    code: "try-files-with-proxy",
    title: "A `try_files` beside a `proxy_pass` serves no file",
    why: "`try_files` only chooses a path; the location then does what it always does with it. Beside a `proxy_pass` that is to \
          proxy: a file that is found is not served, the request goes to the application under the file's path.",
    bad: "location / {\n    root /srv/www;\n    try_files $uri $uri/ /index.html;\n    proxy_set_header Host $host;\n    proxy_pass http://127.0.0.1:8000;\n}",
    good: "location / {\n    root /srv/www;\n    try_files $uri @app;\n}\nlocation @app {\n    proxy_set_header Host $host;\n    proxy_pass http://127.0.0.1:8000;\n}",
    allow: "Where the check is meant only to refuse paths without a file, as before a FastCGI server.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::LOCATION) {
        let pass = block.one("proxy_pass").or_else(|| block.one("grpc_pass"));
        let (Some(tried), Some(pass)) = (block.one("try_files"), pass) else { continue };
        if tried.args.last().is_some_and(|last| last.value.starts_with(b"@"))
            && tried.args.len() == 2
            && !tried.args[0].value.contains(&b'$')
        {
            continue;
        }
        out.push(
            RULE.at(tried.span(), "a file that \"try_files\" finds here is not served, the request is proxied")
                .label("this chooses a path")
                .related(pass.span(), "and this answers it, whatever it is")
                .help("put the `proxy_pass` into a `location @app { }`, and end with `try_files $uri @app;`"),
        );
    }
}
