//! `types`.

use std::sync::Arc;

use bytes::Bytes;

use super::Conf;
use crate::conf::{Args, Ctx, SetResult};
use crate::diag::Diagnostic;
use crate::http::Types;

pub(super) fn read(c: &mut Conf, args: &Args<'_>, ctx: &mut Ctx<'_>) -> SetResult {
    let mut types = c.types.take().map_or_else(Types::default, |types| Types::clone(&types));
    for row in args.directive().children() {
        let content_type = Bytes::copy_from_slice(&row.name.value);
        for extension in &row.args {
            let key = extension.value.to_ascii_lowercase().into_boxed_slice();
            let Some(old) = types.insert(key, content_type.clone()) else { continue };
            let message = format!(
                "duplicate extension \"{}\", content type: \"{}\", previous content type: \"{}\"",
                extension.text().to_ascii_lowercase(),
                row.name.text(),
                String::from_utf8_lossy(&old)
            );
            ctx.complain_in(row, Diagnostic::warning("duplicate-extension", message).at(extension.span));
        }
    }
    c.types = Some(Arc::new(types));
    Ok(())
}

/// What nginx knows without `types`.
pub(super) fn built_in() -> Arc<Types> {
    let rows: [(&[u8], &'static str); 3] = [(b"html", "text/html"), (b"gif", "image/gif"), (b"jpg", "image/jpeg")];
    let entry = |(extension, name): (&[u8], &'static str)| (extension.into(), Bytes::from_static(name.as_bytes()));
    Arc::new(Types::from_iter(rows.map(entry)))
}
