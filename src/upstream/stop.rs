//! Why a request that was to be passed on has no answer.

use crate::http::{BodyError, Flow};

/// Why there is no answer at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The request is answered with this status.
    Answer(u16),
    /// The client is gone; the status is for the log.
    Close(u16),
    /// What was kept of an earlier answer is still good enough.
    Stale,
}

impl From<BodyError> for Stop {
    fn from(error: BodyError) -> Self {
        if error.is_final() { Stop::Close(error.status()) } else { Stop::Answer(error.status()) }
    }
}

impl Stop {
    /// What the engine is to do.
    pub(crate) fn flow(self) -> Flow {
        match self {
            Stop::Answer(status) => Flow::Finalize(status),
            Stop::Close(status) => Flow::Close(status),
            Stop::Stale => Flow::Finalize(500),
        }
    }
}
