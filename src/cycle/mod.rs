//! The cycle: made by `compile`, run through by `engine`.

mod compile;
mod engine;
mod special;

pub use compile::compile;
pub use engine::{Answer, ENGINE, Run, Step, log, refuse, run};
