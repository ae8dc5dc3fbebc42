//! Scripts: compiled `"$scheme://$host"`, nginx's complex values.

use bytes::Bytes;

use super::{Request, VarIndex};

/// One piece of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Bytes as written.
    Literal(Bytes),
    /// A variable.
    Variable(VarIndex),
    /// `$1` … `$9` of the last regular expression.
    Capture(u8),
}

/// A value that may hold variables, compiled once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script(Inner);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Inner {
    Constant(Bytes),
    Parts(Box<[Part]>),
}

impl Script {
    /// A value without variables.
    pub fn constant(value: impl Into<Bytes>) -> Self {
        Script(Inner::Constant(value.into()))
    }

    /// A value made of parts.
    pub fn new(mut parts: Vec<Part>) -> Self {
        match parts.as_mut_slice() {
            [] => Self::constant(Bytes::new()),
            [Part::Literal(bytes)] => Self::constant(std::mem::take(bytes)),
            _ => Script(Inner::Parts(parts.into())),
        }
    }

    /// The value where it holds no variable.
    pub fn as_constant(&self) -> Option<&Bytes> {
        match &self.0 {
            Inner::Constant(bytes) => Some(bytes),
            Inner::Parts(_) => None,
        }
    }

    /// Whether the value is written empty.
    pub fn is_empty(&self) -> bool {
        self.as_constant().is_some_and(Bytes::is_empty)
    }

    /// The parts; one literal for a constant.
    pub fn parts(&self) -> Vec<Part> {
        match &self.0 {
            Inner::Constant(bytes) => vec![Part::Literal(bytes.clone())],
            Inner::Parts(parts) => parts.to_vec(),
        }
    }

    /// Appends the value for a request.
    pub fn append(&self, r: &Request, out: &mut Vec<u8>) {
        match &self.0 {
            Inner::Constant(bytes) => out.extend_from_slice(bytes),
            Inner::Parts(parts) => parts.iter().for_each(|part| part.append(r, out)),
        }
    }

    /// The value for a request; costs nothing for a constant.
    pub fn eval(&self, r: &Request) -> Bytes {
        match &self.0 {
            Inner::Constant(bytes) => bytes.clone(),
            Inner::Parts(parts) => {
                let mut out = Vec::with_capacity(64);
                parts.iter().for_each(|part| part.append(r, &mut out));
                out.into()
            }
        }
    }
}

impl Part {
    /// Appends the part for a request.
    pub fn append(&self, r: &Request, out: &mut Vec<u8>) {
        match self {
            Part::Literal(bytes) => out.extend_from_slice(bytes),
            Part::Variable(index) => {
                r.append_variable(*index, out);
            }
            Part::Capture(group) => r.append_capture(*group, out),
        }
    }
}

/// Whether a value counts as true for `if=` parameters and predicates: not empty and not `0`.
pub fn is_true(value: &[u8]) -> bool {
    !value.is_empty() && value != b"0"
}
