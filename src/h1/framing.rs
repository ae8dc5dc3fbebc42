//! temp stub
#[derive(Default)]
pub(crate) struct ChunkedDecoder;
pub(crate) struct Decoded;
