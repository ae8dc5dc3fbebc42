//! `empty_gif`: a transparent pixel. <https://nginx.org/en/docs/http/ngx_http_empty_gif_module.html>

use std::rc::Rc;

use crate::conf::{Command, LocationBuilder, Module};
use crate::http::{Flow, Method, PhaseHandler, Request, Response};

/// `ngx_http_empty_gif_module`.
pub struct EmptyGif;

/// Whether one block answers with the pixel. It is not inherited.
#[derive(Default)]
pub struct Conf {
    on: bool,
}

impl Module for EmptyGif {
    type Conf = Conf;
    const NAME: &'static str = "http_empty_gif";
    const COMMANDS: &'static [Command<Conf>] = &[Command::custom("empty_gif", |c, _, _| {
        c.on = true;
        Ok(())
    })];

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if conf.on {
            location.content(Handler);
        }
    }
}

/// GIF89a, one pixel, the second of two colours, which is transparent.
const PIXEL: &[u8] = b"GIF89a\x01\0\x01\0\x80\x01\0\
    \0\0\0\xff\xff\xff\
    \x21\xf9\x04\x01\0\0\x01\0\
    \x2c\0\0\0\0\x01\0\x01\0\0\
    \x02\x02\x4c\x01\0\x3b";

/// 28 September 1970.
const MADE: i64 = 23_349_600;

struct Handler;

impl PhaseHandler for Handler {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        if !matches!(r.method.get(), Method::Get | Method::Head) {
            return Flow::Finalize(405);
        }
        let mut response = Response::with_bytes(200, "image/gif", PIXEL);
        response.last_modified = Some(MADE);
        Flow::respond(response)
    }
}
