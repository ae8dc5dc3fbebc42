//! Inheritance: a block takes from the block around it what it does not set itself.

/// A value that a block may leave unset.
pub trait Inherit {
    /// Takes the parent's value where this one is not set.
    fn inherit(&mut self, parent: &Self);
}

impl<T: Clone> Inherit for Option<T> {
    fn inherit(&mut self, parent: &Self) {
        if self.is_none() {
            self.clone_from(parent);
        }
    }
}

impl<T: Clone> Inherit for Vec<T> {
    fn inherit(&mut self, parent: &Self) {
        if self.is_empty() {
            self.clone_from(parent);
        }
    }
}
