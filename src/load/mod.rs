//! stub
pub struct Loaded {
    pub root: Vec<crate::syntax::Directive>,
}
