//! `map-without-default`: a map whose empty answer breaks what it is for.

use crate::{
    diag::Diagnostic,
    lint::{Rule, View, text::variables},
    schema::Context,
};

/// Directives that an empty value breaks, and how.
const BROKEN: [(&str, &str); 6] = [
    ("proxy_pass", "every other request is answered 500"),
    ("fastcgi_pass", "every other request is answered 500"),
    ("grpc_pass", "every other request is answered 500"),
    ("uwsgi_pass", "every other request is answered 500"),
    ("root", "every other request reads from the root of the machine"),
    ("alias", "every other request reads from the root of the machine"),
];

pub(super) static RULE: Rule = Rule {
    code: "map-without-default",
    title: "A `map` without `default` gives nothing where something is needed",
    why: "What no line of a `map` is about becomes the empty text. As a backend or as a folder that is a fault, and it shows with the \
          first request that nobody thought of.",
    bad: "map $host $app {\n    a.test 127.0.0.1:8001;\n    b.test 127.0.0.1:8002;\n}\nserver {\n    listen 80;\n    location / {\n        proxy_set_header Host $host;\n        proxy_pass http://$app;\n    }\n}",
    good: "map $host $app {\n    default 127.0.0.1:8001;\n    b.test 127.0.0.1:8002;\n}\nserver {\n    listen 80;\n    location / {\n        proxy_set_header Host $host;\n        proxy_pass http://$app;\n    }\n}",
    allow: "Where an `if` sends everything else away before.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for map in view.blocks(Context::MAP | Context::GEO) {
        let Some(name) = map.args().last().map(|word| word.text().trim_start_matches('$').to_ascii_lowercase()) else {
            continue;
        };
        let has_default =
            map.directives().iter().any(|line| matches!(&*line.name.value, b"default" | b"include" | b"~.*" | b"~."));
        if has_default || name.is_empty() {
            continue;
        }
        let guarded = view
            .blocks(Context::SERVER_IF | Context::LOCATION_IF)
            .any(|block| block.args().iter().any(|word| variables(word).contains(&name)));
        let used = BROKEN.iter().find_map(|(directive, what)| {
            let mut all = view.every(directive);
            let is_whole = |text: &str| {
                text.contains(&format!("://${name}"))
                    || text.trim_matches('"') == format!("${name}")
                    || text.starts_with(&format!("${name}/"))
            };
            all.find(|(_, one)| one.args.first().is_some_and(|word| is_whole(&word.text().to_ascii_lowercase())))
                .map(|(_, one)| (one, *what))
        });
        if let Some((one, what)) = used.filter(|_| !guarded) {
            out.push(
                RULE.at(map.place(), format!("`${name}` is empty for every value that is not listed: {what}"))
                    .related(one.span(), "used here")
                    .help("add a `default` line"),
            );
        }
    }
}
