//! A request as the parent keeps it, until its task has ended.

use std::sync::Arc;

use manyhands_shm::{Arena, Block};

use crate::crossing::{Flags, Kind, RequestHead, place_to_bytes, write_list};

/// A longer body goes into shared memory.
pub(super) const MOST_IN_FRAME: usize = 16 << 10;

/// What is to be called, as bytes.
#[derive(Debug)]
pub struct Request {
    function: u64,
    kind: Kind,
    body: Body,
    /// What the arguments refer to.
    lent: Vec<Arc<Block>>,
    /// Its answer goes on to another process.
    plain: bool,
}

#[derive(Debug)]
enum Body {
    InFrame(Vec<u8>),
    Spilled(Arc<Block>),
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
            _ => Body::InFrame(body),
        };
        Ok(Self { function, kind, body, lent, plain: false })
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
        let head = RequestHead { function: self.function, kind: self.kind, flags }.to_bytes();
        let mut list = Vec::new();
        write_list(returned, &mut list);
        match &self.body {
            Body::InFrame(body) => send(&[&head, &list, body]),
            Body::Spilled(block) => {
                let place = block.place();
                send(&[&head, &list, &place_to_bytes(place.offset, place.len)])
            }
        }
    }

    /// All that it has in shared memory.
    pub(super) fn blocks(&self) -> impl Iterator<Item = &Arc<Block>> {
        let spilled = match &self.body {
            Body::InFrame(_) => None,
            Body::Spilled(block) => Some(block),
        };
        self.lent.iter().chain(spilled)
    }
}

/// Puts bytes into a block of their own.
pub(super) fn spill(bytes: &[u8], arena: &Arena) -> Result<Arc<Block>, String> {
    let mut block = arena.allocate(bytes.len()).map_err(|error| error.to_string())?;
    block.copy_from_slice(bytes);
    Ok(Arc::new(block))
}
