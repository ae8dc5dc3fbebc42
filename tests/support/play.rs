//! Plays the steps of a connection and writes down what came.

use super::gateway::{self, Dialect};
use super::render::{self, Kind};
use super::script::Step;
use super::text;
use super::wire::{Stop, Wire};

/// Plays `steps` in order and tells `note` what came. A read that finds the connection closed or silent ends the play.
pub fn play(wire: &mut Wire, steps: &[Step], note: &mut impl FnMut(&str)) {
    loop {
        for step in steps {
            let mut out = String::new();
            let stop = play_one(wire, step, &mut out);
            note(&out);
            if let Some(stop) = stop {
                return note(render::stop_text(stop));
            }
        }
        if steps.last() != Some(&Step::Repeat) {
            return;
        }
    }
}

fn play_one(wire: &mut Wire, step: &Step, out: &mut String) -> Option<Stop> {
    match step {
        Step::Send(bytes) => wire.send(&wire.dialect.answer(bytes)),
        Step::Raw(bytes) => wire.send(bytes),
        Step::Stderr(bytes) => wire.send(&wire.dialect.stderr(bytes)),
        Step::End => wire.send(&wire.dialect.end()),
        Step::Pause(time) => std::thread::sleep(*time),
        Step::HalfClose => wire.half_close(),
        Step::Reset => wire.reset(),
        Step::Echo => wire.echo(),
        Step::Repeat => {}
        Step::Response => return keep(out, render::message(wire, Kind::Response)),
        Step::Head => return keep(out, render::message(wire, Kind::Head)),
        Step::Request if wire.dialect != Dialect::Http => return keep(out, gateway::request(wire, wire.dialect)),
        Step::Request => return keep(out, render::message(wire, Kind::Request)),
        Step::RequestHead => return keep(out, render::message(wire, Kind::Head)),
        Step::Bytes(n) => return keep(out, raw(wire.take(*n))),
        Step::Until(mark) => return keep(out, raw(wire.take_until(mark))),
        Step::Close => return Some(until_close(wire, out)),
    }
    None
}

fn keep(out: &mut String, (text, stop): (String, Option<Stop>)) -> Option<Stop> {
    out.push_str(&text);
    stop
}

fn raw((bytes, stop): (Vec<u8>, Option<Stop>)) -> (String, Option<Stop>) {
    (text::body(&bytes), stop)
}

/// Whole responses as long as they come, then whatever is left.
fn until_close(wire: &mut Wire, out: &mut String) -> Stop {
    loop {
        while wire.buffer.len() < 5 {
            if let Err(stop) = wire.fill() {
                out.push_str(&text::body(&wire.buffer));
                return stop;
            }
        }
        if !wire.buffer.starts_with(b"HTTP/") {
            let (bytes, stop) = wire.take_rest();
            out.push_str(&text::body(&bytes));
            return stop;
        }
        if let Some(stop) = keep(out, render::message(wire, Kind::Response)) {
            return stop;
        }
    }
}
