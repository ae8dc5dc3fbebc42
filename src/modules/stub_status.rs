//! `stub_status`: how many connections and requests there are.
//! <https://nginx.org/en/docs/http/ngx_http_stub_status_module.html>

use std::rc::Rc;

use crate::conf::{Command, LocationBuilder, Module};
use crate::http::{Count, Flow, Method, PhaseHandler, Request, Response, VariableDef, count};

/// `ngx_http_stub_status_module`.
pub struct StubStatus;

/// Whether one block answers with the numbers. It is not inherited.
#[derive(Default)]
pub struct Conf {
    on: bool,
}

impl Module for StubStatus {
    type Conf = Conf;
    const NAME: &'static str = "http_stub_status";
    const COMMANDS: &'static [Command<Conf>] = &[Command::custom("stub_status", |c, _, _| {
        c.on = true;
        Ok(())
    })];
    const VARIABLES: &'static [VariableDef] = &[
        VariableDef::new("connections_active", |_, out| put(out, Count::Active)),
        VariableDef::new("connections_reading", |_, out| put(out, Count::Reading)),
        VariableDef::new("connections_writing", |_, out| put(out, Count::Writing)),
        VariableDef::new("connections_waiting", |_, out| put(out, Count::Waiting)),
    ];

    fn install(conf: &Conf, location: &mut LocationBuilder<'_, '_>) {
        if conf.on {
            location.content(Handler);
        }
    }
}

fn put(out: &mut Vec<u8>, which: Count) -> bool {
    out.extend_from_slice(itoa::Buffer::new().format(count(which)).as_bytes());
    true
}

struct Handler;

impl PhaseHandler for Handler {
    fn handle(&self, r: &Rc<Request>) -> Flow {
        if !matches!(r.method.get(), Method::Get | Method::Head) {
            return Flow::Finalize(405);
        }
        let [accepted, handled, requests] = [Count::Accepted, Count::Handled, Count::Requests].map(count);
        let [reading, writing, waiting] = [Count::Reading, Count::Writing, Count::Waiting].map(count);
        let page = format!(
            "Active connections: {} \nserver accepts handled requests\n {accepted} {handled} {requests} \n\
            Reading: {reading} Writing: {writing} Waiting: {waiting} \n",
            count(Count::Active)
        );
        Flow::respond(Response::with_bytes(200, "text/plain", page))
    }
}
