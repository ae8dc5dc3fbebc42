//! Which file a request's URI stands for, and what media type that has.

use std::cell::Ref;

use bytes::Bytes;

use super::{Request, Root};
use crate::log::Level;

impl Request {
    /// The path's extension, as nginx finds it.
    pub fn extension(&self) -> Option<Ref<'_, [u8]>> {
        Ref::filter_map(self.uri.borrow(), |uri| super::uri::extension(uri)).ok()
    }

    /// The file that the URI stands for under `root` or `alias`; `None` (with an alert in the log) where the
    /// location's `alias` cannot apply to a rewritten URI.
    pub fn map_uri(&self) -> Option<Vec<u8>> {
        let mut path = self.map_root()?;
        let core = &self.location().core;
        let uri = self.uri.borrow();
        path.extend_from_slice(match core.root {
            Root::Alias(_) if core.alias_prefix != usize::MAX => uri.get(core.alias_prefix..).unwrap_or_default(),
            Root::Alias(_) if !self.add_uri_to_alias.get() => &[],
            _ => &uri[..],
        });
        Some(path)
    }

    /// The part of [`Self::map_uri`] that `root` or `alias` give: what comes of the URI stands behind it.
    pub fn map_root(&self) -> Option<Vec<u8>> {
        let location = self.location();
        if matches!(location.core.root, Root::Alias(_)) && !self.valid_location.get() {
            self.log_with(Level::Alert, |line| {
                line.put("\"alias\" cannot be used in location \"").bytes(&location.name);
                line.put("\" where URI was rewritten");
            });
            return None;
        }
        let mut path = Vec::with_capacity(128);
        self.append_root(&mut path);
        Some(path)
    }

    /// Appends what `root` or `alias` say, for this request.
    pub fn append_root(&self, out: &mut Vec<u8>) {
        let start = out.len();
        self.location().core.root.script().append(self, out);
        if !out[start..].starts_with(b"/") {
            let prefix = self.cycle().process.prefix.as_os_str().as_encoded_bytes();
            let slash: &[u8] = if prefix.ends_with(b"/") { b"" } else { b"/" };
            out.splice(start..start, prefix.iter().chain(slash).copied());
        }
    }

    /// The media type of a response that has none of its own: by the URI's extension, or `default_type`.
    pub fn media_type(&self) -> Bytes {
        let core = &self.location().core;
        let by_extension = self.extension().and_then(|extension| match core.types.get(&*extension) {
            None if extension.iter().any(u8::is_ascii_uppercase) => {
                core.types.get(&extension.to_ascii_lowercase()[..]).cloned()
            }
            found => found.cloned(),
        });
        by_extension.unwrap_or_else(|| core.default_type.clone())
    }
}
