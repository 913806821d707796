//! A busy loop of known length.
//!
//! It counts turns and does not look at the clock, so that a task which loses its core in the middle still has all its
//! work to do.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How many turns take `load` on an otherwise idle core; the first call calibrates the loop and takes some 50 ms.
pub(crate) fn turns_for(load: Duration) -> u64 {
    const SAMPLE: u32 = 2_000_000;
    static NANOS_PER_TURN: OnceLock<f64> = OnceLock::new();
    let nanos_per_turn = NANOS_PER_TURN.get_or_init(|| {
        let times = (0..9).map(|_| {
            let begin = Instant::now();
            turn(u64::from(SAMPLE));
            begin.elapsed()
        });
        // The fastest: anything slower was disturbed.
        times.min().unwrap_or_default().as_secs_f64() * 1e9 / f64::from(SAMPLE)
    });
    let turns = load.as_secs_f64() * 1e9 / nanos_per_turn;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a load of seconds is far from where either could lose anything"
    )]
    let turns = turns.round() as u64;
    turns
}

/// Each turn needs the one before, so the processor cannot overlap them. It is the same code for all subjects, and not
/// compiled into what runs a task in each.
#[inline(never)]
pub(crate) fn turn(turns: u64) {
    let mut state = black_box(0x9e37_79b9_7f4a_7c15_u64);
    for _ in 0..turns {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
    }
    black_box(state);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_longer_load_needs_more_turns() {
        assert_eq!(turns_for(Duration::ZERO), 0);
        let one = turns_for(Duration::from_micros(1));
        let hundred = turns_for(Duration::from_micros(100));
        assert!(one > 0);
        assert!(hundred.abs_diff(one * 100) <= 100, "{hundred} against {one}");
    }

    #[test]
    fn the_turns_take_about_the_load() {
        let turns = turns_for(Duration::from_millis(20));
        let begin = Instant::now();
        turn(turns);
        // A clock that rose after the calibration makes the loop faster than told, but not twice as fast.
        assert!(begin.elapsed() >= Duration::from_millis(10));
    }
}
