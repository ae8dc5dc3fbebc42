//! `typographic-quotes`: quotes that are letters to nginx.

use crate::{
    check::is_typographic,
    diag::Diagnostic,
    lint::{Rule, View},
    schema::{Context, Schema},
    syntax::{Directive, Word},
};

pub(super) static RULE: Rule = Rule {
    code: "typographic-quotes",
    title: "A word stands in typographic quotes, which are letters to nginx",
    why: "Web pages and word processors turn `\"` into `“` and `”`. nginx knows only `\"` and `'`: the others become a part of the name, \
          the path or the header, and a space between them ends the word.",
    bad: "map $uri $kind {\n    /basket “shop”;\n}\nserver {\n    listen 80;\n    error_page 404 “/404.html”;\n}",
    good: "map $uri $kind {\n    /basket \"shop\";\n}\nserver {\n    listen 80;\n    error_page 404 \"/404.html\";\n}",
    allow: "Where these letters are meant, as in a text that is shown to people.",
    check,
};

fn check(view: &View<'_>, out: &mut Vec<Diagnostic>) {
    for block in view.blocks(Context::ANY) {
        let tables = block.directives().iter().filter(|directive| is_table(directive, block.context()));
        for directive in block.directives().iter().chain(tables.flat_map(Directive::children)) {
            if let Some(word) = directive.args.iter().find(|word| is_quoted_so(word)) {
                let message = format!("the quotes of {} are letters to nginx", word.text());
                out.push(RULE.at(word.span, message).help("use `\"` or `'`"));
            }
        }
    }
}

fn is_table(directive: &Directive, context: Context) -> bool {
    let opens = Schema::nginx().find(&directive.name.value, context).and_then(|spec| spec.opens);
    opens.is_some_and(|opens| opens.within(context).is_table())
}

fn is_quoted_so(word: &Word) -> bool {
    let text = word.text();
    let ends = [text.chars().next(), text.chars().next_back()];
    // An apostrophe may well end a word.
    !word.quoted && ends.into_iter().flatten().any(|letter| is_typographic(letter) && letter != '’')
}
