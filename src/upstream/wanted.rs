//! What becomes of the client's body before a request is sent on.

use std::rc::Rc;

use super::send::Content;
use crate::http::{BodyError, BodyInFile, Request};

/// What a location does with clients' bodies.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyWanted {
    /// `…_pass_request_body`
    pub(crate) passes: bool,
    /// `…_request_buffering off`: it is sent on as it comes.
    pub(crate) streams: bool,
    /// Even where the client has not said how long it is.
    pub(crate) chunked: bool,
}

impl BodyWanted {
    /// The client's body, read whole unless it is to be sent on as it comes.
    ///
    /// # Errors
    /// What went wrong with the client.
    pub(crate) async fn read(&self, r: &Rc<Request>) -> Result<Content, BodyError> {
        let body = &r.body;
        let chunked = body.declared_length().is_none();
        let streams = self.streams && self.passes && (!chunked || self.chunked) && body.exists() && r.is_main();
        if streams && body.stored().is_none() && !body.read_available(r).await? {
            return Ok(Content::Streamed { chunked });
        }
        if (!r.is_main() || r.post_action.get()) && body.stored().is_none() {
            return Ok(Content::None);
        }
        if !body.exists() && r.location().core.client_body_in_file_only == BodyInFile::Off {
            return Ok(Content::None);
        }
        let stored = body.read(r).await?;
        Ok(if self.passes && stored.length() > 0 { Content::Stored(stored) } else { Content::None })
    }
}
