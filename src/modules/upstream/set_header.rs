//! One line of `proxy_set_header` and its kin.

use std::sync::Arc;

use bytes::Bytes;

use super::late::late_script;
use crate::conf::{Args, Ctx, SetResult};
use crate::http::Script;

/// A header of requests to a backend; an empty value takes it away.
#[derive(Clone, Debug)]
pub struct SetHeader {
    pub(in crate::modules) name: Bytes,
    pub(in crate::modules) value: Script,
}

impl SetHeader {
    /// Reads one into the list of its block.
    ///
    /// # Errors
    /// What is wrong with its value.
    pub(in crate::modules) fn add(list: &mut Option<Arc<Vec<Self>>>, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
        let Some(value) = late_script(args, 2, ctx)? else { return Ok(()) };
        Arc::make_mut(list.get_or_insert_default()).push(Self { name: args.bytes(1), value });
        Ok(())
    }
}
