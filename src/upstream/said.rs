//! What the error log says of an answer's body.

use super::decode::{Fault, Framing};
use super::passage::{Action, report};
use crate::http::Request;
use crate::log::Level;

/// Says what an application wrote for the error log.
pub(super) fn say_heard(r: &Request, action: Action, framing: &mut Framing) {
    for sentence in framing.said() {
        report(r, Level::Error, action, |line| {
            line.bytes(&sentence);
        });
    }
}

/// Says that more came than belongs to the answer.
pub(super) fn say_surplus(r: &Request, action: Action, framing: &Framing) {
    report(r, Level::Warn, action, |line| {
        line.put(match framing {
            Framing::Chunked(_) => "upstream sent data after final chunk",
            _ => "upstream sent more data than specified in \"Content-Length\" header",
        });
    });
}

/// Says why a body cannot be understood.
pub(super) fn say_fault(r: &Request, action: Action, fault: &Fault) {
    if let Fault::Fields(sentence) = fault {
        report(r, Level::Error, action, |line| {
            line.put(sentence);
        });
    }
    report(r, Level::Error, action, |line| match fault {
        Fault::Chunk => {
            line.put("upstream sent invalid chunked response");
        }
        Fault::Trailer(error) => {
            line.bytes(&error.message());
        }
        Fault::Record(sentence) => {
            line.put(sentence);
        }
        Fault::Fields(_) => {
            line.put("upstream sent invalid trailer");
        }
    });
}
