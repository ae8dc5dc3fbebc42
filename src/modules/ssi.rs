//! `ssi`: commands in the text of a response. <https://nginx.org/en/docs/http/ngx_http_ssi_module.html>

mod body;
mod command;
mod date;
mod page;
mod parser;
mod text;

use std::rc::Rc;

use crate::conf::{Command, Ctx, Inherit, LocationBuilder, Module};
use crate::http::{Filter, FilterSlot, MediaTypes, Request, Response, VariableDef, VariableNames};

/// `ngx_http_ssi_filter_module`.
pub struct Ssi;

/// The directives of one block.
#[derive(Default)]
pub struct Conf {
    on: Option<bool>,
    silent_errors: Option<bool>,
    last_modified: Option<bool>,
    value_length: Option<usize>,
    types: Option<MediaTypes>,
}

/// The longest value of a parameter, in bytes.
const VALUE_LENGTH: usize = 255;

impl Module for Ssi {
    type Conf = Conf;
    const NAME: &'static str = "http_ssi";
    const COMMANDS: &'static [Command<Conf>] = &[
        Command::flag("ssi", |c| &mut c.on),
        Command::flag("ssi_silent_errors", |c| &mut c.silent_errors),
        Command::flag("ssi_last_modified", |c| &mut c.last_modified),
        Command::size("ssi_value_length", |c| &mut c.value_length),
        Command::custom("ssi_types", |c, args, _| {
            args.add_types(&mut c.types, &["text/html"]);
            Ok(())
        }),
    ];
    const VARIABLES: &'static [VariableDef] =
        &[VariableDef::new("date_local", date::local), VariableDef::new("date_gmt", date::gmt)];

    fn merge(parent: &Conf, conf: &mut Conf) {
        conf.on.inherit(&parent.on);
        conf.silent_errors.inherit(&parent.silent_errors);
        conf.last_modified.inherit(&parent.last_modified);
        conf.value_length.inherit(&parent.value_length);
        conf.types.inherit(&parent.types);
    }

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if conf.on != Some(true) {
            return;
        }
        name_variables(location.ctx);
        let settings = Settings {
            silent_errors: conf.silent_errors.unwrap_or(false),
            last_modified: conf.last_modified.unwrap_or(false),
            value_length: conf.value_length.unwrap_or(VALUE_LENGTH),
            types: conf.types.clone().unwrap_or_else(|| MediaTypes::new([&b"text/html"[..]])),
        };
        location.filter(FilterSlot::Ssi, settings);
    }
}

/// Pages may name variables that the configuration does not.
fn name_variables(ctx: &mut Ctx<'_>) {
    if ctx.extensions.get::<VariableNames>().is_none() {
        let names = VariableNames::new(ctx.builtin_variables());
        ctx.extensions.insert(names);
    }
}

/// What a request meets.
struct Settings {
    silent_errors: bool,
    last_modified: bool,
    value_length: usize,
    types: MediaTypes,
}

impl Filter for Settings {
    fn filter(&self, r: &Rc<Request>, response: &mut Response) -> Result<(), u16> {
        if response.content_length == Some(0) || !response.has_type(&self.types) {
            return Ok(());
        }
        if r.is_main() {
            response.clear_content_length();
            response.clear_accept_ranges();
            if self.last_modified {
                response.weaken_etag();
            } else {
                response.clear_last_modified();
                response.clear_etag();
            }
        }
        let page = page::Page::new(r.clone(), self.silent_errors, response.content_type.clone());
        let parser = parser::Parser::new(self.value_length);
        response.body.wrap(|body| Box::new(body::Included::new(body, parser, page)));
        Ok(())
    }
}
