//! Frames that carry no fields of requests: looked at as nginx does, then handed on. RFC 9113, section 6.

use super::super::frame::{
    ACK, CONTINUATION, DATA, GOAWAY, HEAD, PADDED, PING, PRIORITY_FRAME, RST_STREAM, SETTINGS, WINDOW_UPDATE,
};
use super::super::windows::MOST;
use super::super::{Fatal, PROTOCOL_ERROR};
use super::{FLOW_CONTROL_ERROR, Front};
use crate::log::Level;

/// Frames of other lengths than they may have, or where they may not stand, end the connection.
pub(super) fn check_head(kind: u8, flags: u8, stream: u32, length: usize) -> Result<(), Fatal> {
    let (name, fits, of_stream) = match kind {
        DATA if flags & PADDED != 0 && length == 0 => {
            return Err(Fatal::size("client sent padded DATA frame with incorrect length: 0"));
        }
        DATA => ("DATA", true, Some(true)),
        RST_STREAM => ("RST_STREAM", length == 4, Some(true)),
        PRIORITY_FRAME => ("PRIORITY", length == 5, Some(true)),
        PING => ("PING", length == 8, Some(false)),
        WINDOW_UPDATE => ("WINDOW_UPDATE", length == 4, None),
        GOAWAY => ("GOAWAY", length >= 8, Some(false)),
        SETTINGS if flags & ACK != 0 && length > 0 => {
            return Err(Fatal::size("client sent SETTINGS frame with the ACK flag and nonzero length"));
        }
        SETTINGS => ("SETTINGS", length.is_multiple_of(6), Some(false)),
        CONTINUATION => return Err(Fatal::protocol("client sent unexpected CONTINUATION frame")),
        _ => return Ok(()),
    };
    if of_stream.is_some_and(|of_stream| of_stream != (stream > 0)) {
        return Err(Fatal::said(PROTOCOL_ERROR, format!("client sent {name} frame with incorrect identifier")));
    }
    if fits { Ok(()) } else { Err(Fatal::length(name, length)) }
}

impl Front {
    /// A frame is whole that is looked at and handed on.
    pub(super) fn inspected(&mut self) -> Result<(), Fatal> {
        let stream = self.stream();
        let payload = std::mem::take(&mut self.payload);
        match self.head[3] {
            SETTINGS => payload.chunks_exact(6).try_for_each(check_setting)?,
            PRIORITY_FRAME if number(&payload) & MOST == stream => {
                let sentence = format!("client sent PRIORITY frame for stream {stream} with incorrect dependency");
                return Err(Fatal::said(PROTOCOL_ERROR, sentence));
            }
            WINDOW_UPDATE => self.widen(stream, number(&payload) & MOST)?,
            RST_STREAM => {
                self.say_reset(stream, number(&payload));
                self.shared.answers.reset(stream);
                self.forget(stream);
            }
            _ => {}
        }
        self.out.extend_from_slice(&self.head[..HEAD]);
        self.out.extend_from_slice(&payload);
        self.payload = payload;
        self.payload.clear();
        Ok(())
    }

    /// More may be sent on a stream, or on all of them.
    fn widen(&mut self, stream: u32, increment: u32) -> Result<(), Fatal> {
        if increment == 0 {
            return Err(Fatal::protocol("client sent WINDOW_UPDATE frame with incorrect window increment 0"));
        }
        if stream > 0 {
            return Ok(());
        }
        let window = self.send_window;
        if u64::from(increment) > u64::from(MOST).saturating_sub(window) {
            let sentence = format!(
                "client violated connection flow control: received WINDOW_UPDATE frame with window increment {increment} \
                 not allowed for window {window}"
            );
            return Err(Fatal::said(FLOW_CONTROL_ERROR, sentence));
        }
        self.send_window += u64::from(increment);
        Ok(())
    }

    fn say_reset(&self, stream: u32, code: u32) {
        const INTERNAL_ERROR: u32 = 2;
        const CANCEL: u32 = 8;
        let Some(r) = self.shared.answers.request(stream) else { return };
        match code {
            CANCEL => r.log(Level::Info, format_args!("client canceled stream {stream}")),
            INTERNAL_ERROR => {
                r.log(Level::Info, format_args!("client terminated stream {stream} due to internal error"));
            }
            _ => r.log(Level::Info, format_args!("client terminated stream {stream} with status {code}")),
        }
    }
}

fn number(payload: &[u8]) -> u32 {
    payload.first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes))
}

fn check_setting(setting: &[u8]) -> Result<(), Fatal> {
    let value = number(&setting[2..]);
    let wrong =
        |code, name| Err(Fatal::said(code, format!("client sent SETTINGS frame with incorrect {name} value {value}")));
    match setting[1] {
        _ if setting[0] > 0 => Ok(()),
        2 if value > 1 => wrong(PROTOCOL_ERROR, "ENABLE_PUSH"),
        4 if value > MOST => wrong(FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE"),
        5 if !(1 << 14..1 << 24).contains(&value) => wrong(PROTOCOL_ERROR, "MAX_FRAME_SIZE"),
        _ => Ok(()),
    }
}
