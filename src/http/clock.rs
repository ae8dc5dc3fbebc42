//! The time as of this turn of the event loop. nginx asks for the time once a turn, and so do we: asking costs more
//! than most of what a small request needs.

use std::cell::Cell;
use std::time::Instant;

thread_local! {
    static CLOCK: Clock = const { Clock { now: Cell::new(None), left: Cell::new(0) } };
}

struct Clock {
    now: Cell<Option<Instant>>,
    /// How many more times the time may be told before it is asked for anew.
    left: Cell<u8>,
}

/// A loop that never sleeps asks for the time at least once in so many answers.
const ANSWERS: u8 = 64;

/// The time.
pub(crate) fn now() -> Instant {
    CLOCK.with(|clock| match (clock.now.get(), clock.left.get().checked_sub(1)) {
        (Some(now), Some(left)) => {
            clock.left.set(left);
            now
        }
        _ => {
            let now = Instant::now();
            clock.now.set(Some(now));
            clock.left.set(ANSWERS);
            now
        }
    })
}

/// The event loop has slept.
pub(crate) fn turn() {
    CLOCK.with(|clock| clock.left.set(0));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn tells_one_time_in_one_turn() {
        turn();
        let first = now();
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(now(), first);
        turn();
        assert!(now() >= first + Duration::from_millis(2));
    }

    #[test]
    fn moves_on_without_turns() {
        turn();
        let first = now();
        std::thread::sleep(Duration::from_millis(2));
        for _ in 0..ANSWERS {
            now();
        }
        assert!(now() > first);
    }
}
