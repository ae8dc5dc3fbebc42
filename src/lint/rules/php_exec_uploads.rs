//! `php-exec-uploads`: scripts that visitors upload are run.

use crate::{
    diag::Diagnostic,
    http::LocationKind,
    lint::{Block, Rule, View},
    schema::Context,
};

pub(super) static RULE: Rule = Rule {
    code: "php-exec-uploads",
    title: "Any path that looks like PHP is run, uploads too",
    why: "The location hands every path that matches to PHP, and nothing looks whether there is such a script. PHP may then go back \
          to the part of the path that does exist (`cgi.fix_pathinfo`) and run it: a picture that somebody uploaded. An expression \
          without `$` takes `shell.php.jpg` itself.",
    bad: "server {\n    listen 80;\n    root /srv/blog;\n    location ~ \\.php {\n        fastcgi_pass unix:/run/php/php-fpm.sock;\n    }\n}",
    good: "server {\n    listen 80;\n    root /srv/blog;\n    location ~ \\.php$ {\n        try_files $uri =404;\n        \
           fastcgi_pass unix:/run/php/php-fpm.sock;\n    }\n    location ^~ /uploads/ {\n    }\n}",
    allow: "Where `security.limit_extensions` and `cgi.fix_pathinfo=0` are set and uploads are kept on another machine.",
    check,
};

/// Uploads, as robots guess them.
const UPLOADS: [&str; 3] = ["/uploads/cat.jpg/x.php", "/uploads/shell.php.jpg", "/wp-content/uploads/cat.jpg/x.php"];

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::LOCATION) {
        let Some(name) = block.name().filter(|name| name.kind == LocationKind::Regex) else { continue };
        let Some(pass) = block.one("fastcgi_pass") else { continue };
        if !String::from_utf8_lossy(name.text).contains("php") || is_guarded(block) {
            continue;
        }
        let shown =
            UPLOADS.iter().find(|path| block.answers(path).is_some_and(|answers| answers.number() == block.number()));
        if let Some(path) = shown {
            out.push(
                RULE.at(
                    block.place(),
                    format!("\"GET {path}\" is handed to PHP, whether there is such a script or not"),
                )
                .label("nothing here looks for the file")
                .related(pass.span(), "handed over here")
                .help("add `try_files $uri =404;`, and a `location ^~ /uploads/ { }` that runs nothing"),
            );
        }
    }
}

/// Whether something looks for the script first. What a missing snippet holds is not known; the usual one does.
fn is_guarded(block: Block<'_>) -> bool {
    let asks = |around: &Block<'_>| {
        around.children().filter(|inner| inner.directive().is_some_and(|one| &*one.name.value == b"if")).any(|inner| {
            inner.args().iter().any(|word| matches!(word.text().trim_start_matches('('), "-f" | "!-f" | "-e" | "!-e"))
        })
    };
    let text = block.directive().and_then(|one| one.block.as_ref()).map(|inside| {
        let span =
            crate::diag::Span { start: inside.open.start, end: inside.close.end.max(inside.open.start), ..inside.open };
        String::from_utf8_lossy(block.view().sources.text(span)).into_owned()
    });
    block.has("try_files")
        || block.has("internal")
        || asks(&block)
        || text.is_some_and(|text| text.contains("fastcgi-php") || text.contains("fastcgi_php"))
}
