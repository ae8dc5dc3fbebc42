//! The records that begin a request.

use super::split::forget_parts;
use crate::http::Request;
use crate::log::Level;
use crate::modules::upstream::{Params, Speaker};
use crate::upstream::{Content, RECORD_HEAD, RecordType, record_head};

/// Writes requests.
pub(super) struct Records {
    pub(super) keep_conn: bool,
}

/// An application that answers.
const RESPONDER: u8 = 1;

impl Speaker for Records {
    fn write(&self, r: &Request, params: &Params, content: &Content, out: &mut Vec<u8>) -> Result<(), u16> {
        forget_parts(r);
        out.extend_from_slice(&record_head(RecordType::BeginRequest, 8).0);
        out.extend_from_slice(&[0, RESPONDER, u8::from(self.keep_conn), 0, 0, 0, 0, 0]);
        let head_at = out.len();
        out.extend_from_slice(&[0; RECORD_HEAD]);
        params.append(r, out);
        let length = out.len() - head_at - RECORD_HEAD;
        let Ok(content_length) = u16::try_from(length) else {
            r.log(Level::Alert, format_args!("fastcgi request record is too big: {length}"));
            return Err(500);
        };
        let (head, padding) = record_head(RecordType::Params, content_length);
        out[head_at..head_at + RECORD_HEAD].copy_from_slice(&head);
        out.resize(out.len() + padding, 0);
        out.extend_from_slice(&record_head(RecordType::Params, 0).0);
        if matches!(content, Content::None) {
            out.extend_from_slice(&record_head(RecordType::Stdin, 0).0);
        }
        Ok(())
    }
}
