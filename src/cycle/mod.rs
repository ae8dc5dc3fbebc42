//! The cycle: made by `compile`, run through by `engine`.

mod compile;
mod engine;
mod special;
mod subrequest;

pub use compile::{compile, verify};
pub use engine::{Answer, End, Moment, Run, Step, log, observe, refuse, run};
pub use subrequest::{ENGINE, afterwards};
