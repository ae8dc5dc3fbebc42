//! `unnamed-groups`: a server's group by its number.

use crate::{
    conf::pattern::Pattern,
    diag::Diagnostic,
    lint::{Rule, View, text::variables},
};

pub(super) static RULE: Rule = Rule {
    code: "unnamed-groups",
    title: "A location uses a group of the server's name by its number",
    why: "`$1` of a `server_name` holds only until the next expression is matched: a location's, a `rewrite`'s, one in a `map`. Then it is \
          another text, and with it another folder. A named group is a variable and stays.",
    bad: "server {\n    listen 80;\n    server_name ~^(.+)\\.shop\\.test$;\n    root /srv/$1;\n    location ~ \\.(png|jpg)$ {\n        expires 7d;\n    }\n}",
    good: "server {\n    listen 80;\n    server_name ~^(?<shop>.+)\\.shop\\.test$;\n    root /srv/$shop;\n    location ~ \\.(png|jpg)$ {\n        expires 7d;\n    }\n}",
    allow: "Where no other expression is in the server.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for server in view.servers() {
        let names = server.all("server_name").iter().flat_map(|one| &one.args);
        let Some(name) = names.into_iter().find(|word| word.value.first() == Some(&b'~')) else { continue };
        let has_unnamed =
            Pattern::read(&name.value[1..], false).is_some_and(|pattern| pattern.groups.iter().any(String::is_empty));
        let is_regex = |block: &crate::lint::Block<'_>| {
            block.name().is_some_and(|name| name.kind == crate::http::LocationKind::Regex && name.text.contains(&b'('))
        };
        let Some(other) = server.locations().find(is_regex).filter(|_| has_unnamed) else { continue };
        let number = |one: &crate::syntax::Directive| {
            one.args.iter().flat_map(variables).find(|name| name.parse::<u8>().is_ok())
        };
        let used = ["root", "alias", "set", "proxy_pass", "access_log"]
            .iter()
            .flat_map(|directive| server.all(directive))
            .find_map(|one| Some((*one, number(one)?)));
        // `set` is run before a location is found.
        if let Some((one, number)) = used.filter(|(one, _)| &*one.name.value != b"set") {
            out.push(
                RULE.at(
                    one.span(),
                    format!("`${number}` is the group of another expression once a location's was matched"),
                )
                .related(name.span, "meant is a group of this")
                .related(other.place(), "and this has groups too")
                .help("give the group a name: `(?<name>…)`"),
            );
        }
    }
}
