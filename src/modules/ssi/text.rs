//! Strings with variables in pages, and the variables of pages.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use bytes::Bytes;

use super::command::{Fault, fault};
use crate::http::{Captures, Request};

/// What the pages of a request, included ones too, know together.
#[derive(Default)]
pub(super) struct Shared {
    /// Names are in lower case.
    variables: RefCell<HashMap<Vec<u8>, Bytes>>,
    captures: RefCell<Captures>,
    blocks: RefCell<Vec<(Vec<u8>, Vec<u8>)>>,
}

impl Shared {
    pub(super) fn of(r: &Request) -> Rc<Self> {
        r.main.as_deref().unwrap_or(r).context()
    }

    pub(super) fn set(&self, name: &[u8], value: Bytes) {
        self.variables.borrow_mut().insert(name.to_ascii_lowercase(), value);
    }

    /// Makes sure that there is a variable of this name.
    pub(super) fn declare(&self, name: &[u8]) {
        self.variables.borrow_mut().entry(name.to_ascii_lowercase()).or_default();
    }

    pub(super) fn set_captures(&self, captures: Captures) {
        *self.captures.borrow_mut() = captures;
    }

    pub(super) fn begin_block(&self, name: &[u8]) {
        self.blocks.borrow_mut().push((name.to_vec(), Vec::new()));
    }

    /// Adds to the block that was begun last.
    pub(super) fn add_to_block(&self, text: &[u8]) {
        if let Some((_, block)) = self.blocks.borrow_mut().last_mut() {
            block.extend_from_slice(text);
        }
    }

    /// The first block of this name.
    pub(super) fn block(&self, name: &[u8]) -> Option<Bytes> {
        let blocks = self.blocks.borrow();
        blocks.iter().find(|(known, _)| known == name).map(|(_, block)| Bytes::copy_from_slice(block))
    }

    /// A variable's value: of the pages, or else of the request.
    pub(super) fn value(&self, r: &Request, name: &[u8]) -> Option<Bytes> {
        if let [digit @ b'0'..=b'9'] = name {
            let captures = self.captures.borrow();
            let group = usize::from(digit - b'0');
            if group < captures.len() {
                return Some(captures.group(group));
            }
        }
        let name = name.to_ascii_lowercase();
        if let Some(value) = self.variables.borrow().get(&name) {
            return Some(value.clone());
        }
        let mut out = Vec::new();
        r.append_variable_named(&name, &mut out).then(|| out.into())
    }
}

/// What a string in a page says.
pub(super) fn evaluate(r: &Request, text: &[u8]) -> Result<Vec<u8>, Fault> {
    let shared = Shared::of(r);
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        rest = match rest.strip_prefix(b"$") {
            None => literal(rest, &mut out),
            Some(behind) => {
                let (name, behind) = name(r, text, behind)?;
                if let Some(value) = shared.value(r, name) {
                    out.extend_from_slice(&value);
                }
                behind
            }
        };
    }
    Ok(out)
}

/// The same for a URI, which may be relative to that of the page.
pub(super) fn evaluate_uri(r: &Request, text: &[u8]) -> Result<Vec<u8>, Fault> {
    let path = evaluate(r, text)?;
    // Variables that came out empty do not make a relative URI.
    if path.starts_with(b"/") || path.is_empty() && text.contains(&b'$') {
        return Ok(path);
    }
    let uri = r.uri.borrow();
    let folder = uri.iter().rposition(|byte| *byte == b'/').map_or(0, |slash| slash + 1);
    Ok([&uri[..folder], &path].concat())
}

/// Appends what stands before the next variable. A backslash is taken away before what it keeps from its meaning.
fn literal<'t>(text: &'t [u8], out: &mut Vec<u8>) -> &'t [u8] {
    let mut quoted = false;
    for (at, byte) in text.iter().enumerate() {
        match (quoted, byte) {
            (false, b'\\') => {
                quoted = true;
                continue;
            }
            (false, b'$') => return &text[at..],
            (true, b'\\' | b'\'' | b'"' | b'$') | (false, _) => {}
            (true, _) => out.push(b'\\'),
        }
        quoted = false;
        out.push(*byte);
    }
    &[]
}

/// A variable's name behind its `$`, and what follows it.
fn name<'t>(r: &Request, text: &[u8], behind: &'t [u8]) -> Result<(&'t [u8], &'t [u8]), Fault> {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let split = |text: &'t [u8]| text.split_at(text.iter().position(|byte| !is_name(byte)).unwrap_or(text.len()));
    let (name, behind) = match behind {
        [b'{', inside @ ..] if !inside.is_empty() => {
            let (name, behind) = split(inside);
            let Some(behind) = behind.strip_prefix(b"}") else {
                return fault(r, &[b"the closing bracket in \"", name, b"\" variable is missing"]);
            };
            (name, behind)
        }
        [b'{'] => (&[][..], behind),
        _ => split(behind),
    };
    if name.is_empty() {
        return fault(r, &[b"invalid variable name in \"", text, b"\""]);
    }
    Ok((name, behind))
}
