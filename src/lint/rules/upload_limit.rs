//! `upload-limit`: a path for uploads that takes a megabyte.

use crate::{
    diag::Diagnostic,
    lint::{Block, Rule, View},
    schema::Context,
};

pub(super) static RULE: Rule = Rule {
    code: "upload-limit",
    title: "A path for uploads takes no more than the usual megabyte",
    why: "nginx refuses bodies over `client_max_body_size` with 413, before the application hears of them, and that is 1m unless set. \
          It is the first photo from a phone that fails.",
    bad: "location /upload/ {\n    proxy_set_header Host $host;\n    proxy_pass http://127.0.0.1:8000;\n}",
    good: "location /upload/ {\n    client_max_body_size 50m;\n    proxy_set_header Host $host;\n    proxy_pass http://127.0.0.1:8000;\n}",
    allow: "Where uploads are small by design.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::LOCATION) {
        if block.pass().is_some() && takes_uploads(block) && block.holds("client_max_body_size").is_none() {
            let path = block.prefix().unwrap_or_default();
            out.push(
                RULE.at(block.place(), format!("\"POST {path}\" with more than 1m is answered 413"))
                    .label("no `client_max_body_size` holds here")
                    .help("add `client_max_body_size 50m;`, or what the application takes"),
            );
        }
    }
}

fn takes_uploads(block: Block<'_>) -> bool {
    let Some(path) = block.prefix().map(|path| path.to_ascii_lowercase()) else { return false };
    let parts: Vec<_> = path.split(['/', '-', '_']).collect();
    let has = |names: &[&str]| parts.iter().any(|part| names.contains(part));
    let streams = block.value("proxy_request_buffering").is_some_and(|value| value == "off");
    has(&["upload", "uploads", "uploader", "attachments"])
        || has(&["file", "files", "media", "import"]) && (streams || has(&["api"]))
}
