//! The reader of frames: any bytes, in any pieces. It must come to the same end whatever the pieces
//! are, give out no byte that did not come in, and stay silent after what is no frame.
//!
//! `cargo fuzz run frames`; without a nightly compiler,
//! `RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none frames`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use manyhands::process::link::frames::{Frame, FrameReader};

const LIMIT: usize = 4096;

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, bool, bool) {
    let mut reader = FrameReader::new(LIMIT);
    let mut frames = Vec::new();
    let mut torn = false;
    for piece in pieces {
        reader.feed(piece);
        loop {
            match reader.next() {
                Ok(Some(frame)) => {
                    assert!(!torn && frame.body.len() <= LIMIT);
                    frames.push(frame);
                }
                Ok(None) => break assert!(!torn),
                Err(_) => break torn = true,
            }
        }
    }
    (frames, torn, reader.is_empty())
}

fuzz_target!(|input: &[u8]| {
    let Some((&first, bytes)) = input.split_first() else { return };
    let whole = read([bytes].into_iter());
    let pieces = read(bytes.chunks(usize::from(first).max(1)));
    assert_eq!(whole, pieces);
    let given: usize = whole.0.iter().map(|frame| 9 + frame.body.len()).sum();
    assert!(given <= bytes.len());
    assert!(!whole.2 || given == bytes.len());
});
