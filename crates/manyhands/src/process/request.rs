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
    kind: Kind,
    /// Its answer goes on to another process.
    plain: bool,
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
const SHORT: usize = 30;

#[derive(Debug)]
enum Body {
    /// So many of them: memory that one thread takes and another gives back is dear for both.
    Short(u8, [u8; SHORT]),
    InFrame(Vec<u8>),
    Spilled(Arc<Block>),
}

impl Body {
    fn in_frame(body: Vec<u8>) -> Self {
        match u8::try_from(body.len()) {
            Ok(len) if body.len() <= SHORT => {
                let mut bytes = [0; SHORT];
                bytes[..body.len()].copy_from_slice(&body);
                Self::Short(len, bytes)
            }
            _ => Self::InFrame(body),
        }
    }
}

impl Request {
    /// A call of `function`, in the words of the host, with these arguments. `lent` is what they refer to;
    /// where there is an `arena`, a long body goes there.
    ///
    /// # Errors
    /// Why there is no room in shared memory.
    pub fn new(
        function: u64,
        kind: Kind,
        body: Vec<u8>,
        lent: Vec<Arc<Block>>,
        arena: Option<&Arena>,
    ) -> Result<Self, String> {
        let body = match arena {
            Some(arena) if body.len() > MOST_IN_FRAME => Body::Spilled(spill(&body, arena)?),
            _ => Body::in_frame(body),
        };
        let more = (!lent.is_empty()).then(|| Box::new(More { lent, passes: None }));
        Ok(Self { function, kind, plain: false, body, more })
    }

    /// The same with these futures among its arguments, which know them by their places in this list.
    #[must_use]
    pub fn passing(self, futures: Vec<Arc<dyn PassedFuture>>) -> Self {
        self.with_passed(futures.into_iter().map(Passed::Host).collect())
    }

    pub(super) fn with_passed(mut self, futures: Vec<Passed>) -> Self {
        if let Some(passes) = Passes::new(futures) {
            self.more.get_or_insert_default().passes = Some(passes);
        }
        self
    }

    /// The futures that go along with it.
    pub(super) fn passes(&self) -> Option<&Passes> {
        self.more.as_ref()?.passes.as_ref()
    }

    pub(super) fn take_passes(&mut self) -> Option<Passes> {
        self.more.as_mut()?.passes.take()
    }

    /// The same, whose answer goes on to another process: it refers to no shared memory.
    pub(super) fn plain(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Of what its body holds.
    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    /// The bytes of the arguments.
    pub(super) fn body(&self) -> &[u8] {
        match &self.body {
            Body::Short(len, bytes) => &bytes[..usize::from(*len)],
            Body::InFrame(body) => body,
            Body::Spilled(block) => block,
        }
    }

    /// Writes the frame as parts for a link: what stands before the body, and the body.
    pub(super) fn with_parts<R>(&self, returned: &[u64], send: impl FnOnce(&[&[u8]]) -> R) -> R {
        let mut flags = Flags::default();
        flags.set(Flags::RETURNS, !returned.is_empty());
        flags.set(Flags::LENDS, self.blocks().next().is_some());
        flags.set(Flags::SPILLED, matches!(self.body, Body::Spilled(_)));
        flags.set(Flags::PLAIN, self.plain);
        flags.set(Flags::PASSES, self.passes().is_some());
        let head = RequestHead { function: self.function, kind: self.kind, flags }.to_bytes();
        let mut list = Vec::new();
        write_list(returned, &mut list);
        list.extend(self.passes().iter().flat_map(|passes| passes.first().to_le_bytes()));
        match &self.body {
            Body::Spilled(block) => {
                let place = block.place();
                send(&[&head, &list, &place_to_bytes(place.offset, place.len)])
            }
            Body::Short(..) | Body::InFrame(_) => send(&[&head, &list, self.body()]),
        }
    }

    /// All that it has in shared memory.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &Arc<Block>> {
        let spilled = match &self.body {
            Body::Short(..) | Body::InFrame(_) => None,
            Body::Spilled(block) => Some(block),
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
