//! What a worker does with a request: calls the function, and writes what came of it.

use super::declared::NotRun;
use super::{Declared, Failure, Kind};
use crate::panic;

/// Makes the call or calls that `body` holds, and writes the answer's body behind what is in `into`.
pub(crate) fn perform(
    declared: &dyn Declared,
    kind: Kind,
    body: &[u8],
    into: &mut Vec<u8>,
) -> Kind {
    match kind {
        Kind::One => one(declared, body, into),
        Kind::Chunk | Kind::TryChunk => {
            chunk(declared, kind == Kind::TryChunk, body, into);
            kind
        }
        Kind::Failed | Kind::Leave => {
            fail(&Failure::Arguments("the request is none".to_owned()), into)
        }
    }
}

/// Writes a failure as the whole answer.
pub(crate) fn fail(failure: &Failure, into: &mut Vec<u8>) -> Kind {
    Failure::write(Some(failure), into);
    Kind::Failed
}

fn one(declared: &dyn Declared, mut body: &[u8], into: &mut Vec<u8>) -> Kind {
    match call(declared, &mut body, into) {
        Ok(()) => Kind::One,
        Err(failure) => fail(&failure, into),
    }
}

fn chunk(declared: &dyn Declared, fallible: bool, body: &[u8], into: &mut Vec<u8>) {
    let start = into.len();
    let (calls, mut body) = match body.split_first_chunk() {
        Some((calls, rest)) => (u32::from_le_bytes(*calls), rest),
        None => (0, body),
    };
    into.extend([0; 4]);
    let mut results = 0_u32;
    let mut ended_by_err = false;
    let mut failure = None;
    while results < calls && failure.is_none() && !ended_by_err {
        let at = into.len();
        match call(declared, &mut body, into) {
            Ok(()) => {
                results += 1;
                // How postcard writes a `Result`: the number of the variant comes first.
                ended_by_err = fallible && into.get(at) == Some(&1);
            }
            Err(failed) => failure = Some(failed),
        }
    }
    into[start..start + 4].copy_from_slice(&results.to_le_bytes());
    if !ended_by_err {
        Failure::write(failure.as_ref(), into);
    }
}

/// Makes one call; writes nothing if it fails.
fn call(declared: &dyn Declared, body: &mut &[u8], into: &mut Vec<u8>) -> Result<(), Failure> {
    let before = into.len();
    let failure = match panic::catch(|| declared.run(body, into)) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(NotRun::Arguments(error))) => Failure::Arguments(error.0),
        Ok(Err(NotRun::Result(error))) => Failure::Result(error.0),
        Err(panic) => Failure::of_panic(&panic),
    };
    into.truncate(before);
    Err(failure)
}
