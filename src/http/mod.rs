//! The request-time kit: HTTP's own things first, which know no socket and no configuration.

pub(crate) mod browser;
pub(crate) mod date;
pub(crate) mod escape;
pub(crate) mod header_id;
pub(crate) mod headers;
pub(crate) mod host;
pub(crate) mod method;
pub(crate) mod status;
pub(crate) mod uri;
pub(crate) mod version;
