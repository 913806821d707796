//! A request as the parent keeps it, until its task has ended.

use std::sync::Arc;

use manyhands_shm::{Arena, Block};

use super::nested::{Passed, PassedFuture, Passes};
use crate::crossing::{Flags, Kind, RequestHead, place_to_bytes, write_list};

/// A longer body goes into shared memory.
pub(super) const MOST_IN_FRAME: usize = 16 << 10;

/// What is to be called, as bytes.
#[derive(Debug)]
pub struct Request {
    function: u64,
    body: Body,
    /// Few have any: it is in the way of all others, which are copied from queue to queue.
    more: Option<Box<More>>,
}

/// What goes along with the bytes.
#[derive(Debug, Default)]
struct More {
    /// What the arguments refer to.
    lent: Vec<Arc<Block>>,
    /// The futures among the arguments.
    passes: Option<Passes>,
}

/// A body no longer than that is kept in the request itself.
const SHORT: usize = 28;

/// Beside the bytes, in words that would else be filled up: requests lie in long queues.
#[derive(Clone, Copy, Debug)]
struct Call {
    kind: Kind,
    /// Its answer goes on to another process.
    plain: bool,
}

#[derive(Debug)]
enum Body {
    /// So many of them: memory that one thread takes and another gives back is dear for both.
    Short(Call, u8, [u8; SHORT]),
    InFrame(Call, Vec<u8>),
    Spilled(Call, Arc<Block>),
}

impl Body {
    #[inline]
    fn in_frame(call: Call, body: &mut Vec<u8>) -> Self {
        match u8::try_from(body.len()) {
            Ok(len) if body.len() <= SHORT => {
                let mut bytes = [0; SHORT];
                bytes[..body.len()].copy_from_slice(body);
                Self::Short(call, len, bytes)
            }
            _ => Self::InFrame(call, std::mem::take(body)),
        }
    }

    fn call(&self) -> Call {
        match self {
            Self::Short(call, ..) | Self::InFrame(call, _) | Self::Spilled(call, _) => *call,
        }
    }

    fn call_mut(&mut self) -> &mut Call {
        match self {
            Self::Short(call, ..) | Self::InFrame(call, _) | Self::Spilled(call, _) => call,
        }
    }
}

impl Request {
    /// A call of `function`, in the words of the host, with these arguments. `lent` is what they refer to;
    /// where there is an `arena`, a long body goes there. The memory of a short one is left to the caller.
    ///
    /// # Errors
    /// Why there is no room in shared memory.
    #[inline]
    pub fn new(
        function: u64,
        kind: Kind,
        body: &mut Vec<u8>,
        lent: Vec<Arc<Block>>,
        arena: Option<&Arena>,
    ) -> Result<Self, String> {
        let call = Call { kind, plain: false };
        let more = (!lent.is_empty()).then(|| Box::new(More { lent, passes: None }));
        if let Some(arena) = arena
            && body.len() > MOST_IN_FRAME
        {
            return Ok(Self { function, body: Body::Spilled(call, spill(body, arena)?), more });
        }
        Ok(Self { function, body: Body::in_frame(call, body), more })
    }

    /// These futures are among its arguments, which know them by their places in this list.
    pub fn pass(&mut self, futures: Vec<Arc<dyn PassedFuture>>) {
        self.set_passed(futures.into_iter().map(Passed::Host).collect());
    }

    pub(super) fn set_passed(&mut self, futures: Vec<Passed>) {
        if let Some(passes) = Passes::new(futures) {
            self.more.get_or_insert_default().passes = Some(passes);
        }
    }

    /// The futures that go along with it.
    pub(super) fn passes(&self) -> Option<&Passes> {
        self.more.as_ref()?.passes.as_ref()
    }

    pub(super) fn take_passes(&mut self) -> Option<Passes> {
        self.more.as_mut()?.passes.take()
    }

    /// Its answer goes on to another process: it refers to no shared memory.
    pub(super) fn set_plain(&mut self) {
        self.body.call_mut().plain = true;
    }

    /// Of what its body holds.
    pub(super) fn kind(&self) -> Kind {
        self.body.call().kind
    }

    /// The bytes of the arguments.
    pub(super) fn body(&self) -> &[u8] {
        match &self.body {
            Body::Short(_, len, bytes) => &bytes[..usize::from(*len)],
            Body::InFrame(_, body) => body,
            Body::Spilled(_, block) => block,
        }
    }

    /// Writes the frame as parts for a link: what stands before the body, and the body.
    #[inline]
    pub(super) fn with_parts<R>(&self, returned: &[u64], send: impl FnOnce(&[&[u8]]) -> R) -> R {
        let Call { kind, plain } = self.body.call();
        let mut flags = Flags::default();
        flags.set(Flags::RETURNS, !returned.is_empty());
        flags.set(Flags::LENDS, self.blocks().next().is_some());
        flags.set(Flags::SPILLED, matches!(self.body, Body::Spilled(..)));
        flags.set(Flags::PLAIN, plain);
        flags.set(Flags::PASSES, self.passes().is_some());
        let head = RequestHead { function: self.function, kind, flags }.to_bytes();
        let mut list = Vec::new();
        write_list(returned, &mut list);
        list.extend(self.passes().iter().flat_map(|passes| passes.first().to_le_bytes()));
        match &self.body {
            Body::Spilled(_, block) => {
                let place = block.place();
                send(&[&head, &list, &place_to_bytes(place.offset, place.len)])
            }
            Body::Short(..) | Body::InFrame(..) => send(&[&head, &list, self.body()]),
        }
    }

    /// All that it has in shared memory.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &Arc<Block>> {
        let spilled = match &self.body {
            Body::Short(..) | Body::InFrame(..) => None,
            Body::Spilled(_, block) => Some(block),
        };
        self.more.iter().flat_map(|more| &more.lent).chain(spilled)
    }
}

/// Puts bytes into a block of their own.
pub(super) fn spill(bytes: &[u8], arena: &Arena) -> Result<Arc<Block>, String> {
    let mut block = arena.allocate(bytes.len()).map_err(|error| error.to_string())?;
    block.copy_from_slice(bytes);
    Ok(Arc::new(block))
}
