//! What a pool knows of one worker, and what becomes of the worker's answers.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use manyhands_shm::{ArenaView, Block, Lookout};

use super::nested::Nested;
use crate::crossing::{AnswerHead, Flags, Kind, parse_place, read_list};
use crate::panic;
use crate::process::lending::{Carrier, Lease, Returned, carrying};
use crate::process::link::Link;
use crate::process::nested::Whose;
use crate::process::request::Request;
use crate::process::supervisor::Seat;
use crate::process::task::{Loss, Task};

/// One worker as the state knows it.
#[derive(Default)]
pub(super) struct Place {
    pub(super) link: Option<Box<dyn Link>>,
    pub(super) pid: u32,
    /// Its arena, if there is shared memory.
    pub(super) arena: Option<ArenaView>,
    pub(super) lookout: Option<Lookout>,
    /// What its tasks want of the pool.
    pub(super) nested: Nested,
    /// What it lent to this process that is done with.
    pub(super) returned: Arc<Returned>,
    /// How many requests it has answered, by which it knows what was lent to it.
    pub(super) answered: u64,
    /// What it was lent with which request, and still looks at.
    pub(super) kept: HashMap<u64, Vec<Arc<Block>>>,
    /// What it was lent with which request whose task has ended, and which it may be working on.
    pub(super) doomed: HashMap<u64, Vec<Arc<Block>>>,
}

/// An answer, received and looked at so far.
pub(in crate::process) struct Answered {
    pub(super) kind: Kind,
    pub(super) flags: Flags,
    pub(super) bytes: Vec<u8>,
    /// Where its body begins.
    pub(super) body: usize,
    /// Few have any: it is in the way of all others, which are copied from list to list.
    beside: Option<Box<Beside>>,
}

/// What goes along with an answer.
#[derive(Default)]
struct Beside {
    /// What it refers to.
    arena: Option<ArenaView>,
    lease: Option<Arc<Lease>>,
    /// Who still looks at what it was lent, and with which request.
    keeps: Option<(Seat, u64)>,
}

/// A task that has ended, whose future does not know yet.
pub(in crate::process) enum Ending<T> {
    Answered { task: Whose<T>, answer: Answered },
    Lost(Box<Lost<T>>),
}

/// One that has no answer.
pub(in crate::process) struct Lost<T> {
    pub(super) task: Whose<T>,
    pub(super) loss: Loss,
    pub(super) request: Request,
}

impl Place {
    /// Reads what stands before the body of an answer, does as it says, and puts the answer `there`: returned, it
    /// would be copied right after it was written, which stalls the processor. How long its task has run; `None`:
    /// it is none.
    pub(super) fn understand(
        &mut self,
        seat: Seat,
        bytes: Vec<u8>,
        there: &mut Option<Answered>,
    ) -> Option<Duration> {
        let (AnswerHead { nanos, kind, flags }, mut rest) = AnswerHead::parse(&bytes)?;
        let lent = read_list(flags.has(Flags::LENDS), &mut rest)?;
        let returned = read_list(flags.has(Flags::RETURNS), &mut rest)?;
        let body = bytes.len() - rest.len();
        let number = self.answered;
        self.answered += 1;
        // Few are lent anything, and a look into a map that is empty takes its time too.
        let doomed = if self.doomed.is_empty() { None } else { self.doomed.remove(&number) };
        if flags.has(Flags::KEEPS) {
            self.kept.insert(number, doomed.unwrap_or_default());
        }
        for number in returned {
            self.kept.remove(&number);
        }
        // Unless it has let go of that, too, while it answered.
        let is_kept = !self.kept.is_empty() && self.kept.contains_key(&number);
        let keeps = is_kept.then_some((seat, number));
        let is_shared = flags.has(Flags::SHARED);
        let lease = (!lent.is_empty()).then(|| Lease::new(lent, is_shared, &self.returned));
        let beside = (lease.is_some() || keeps.is_some()).then(|| {
            let arena = lease.as_ref().and_then(|_| self.arena.clone());
            Box::new(Beside { arena, lease: lease.map(Arc::new), keeps })
        });
        *there = Some(Answered { kind, flags, bytes, body, beside });
        Some(Duration::from_nanos(nanos))
    }
}

impl Answered {
    /// Who still looks at what it was lent, and with which request.
    pub(super) fn keeps(&self) -> Option<(Seat, u64)> {
        self.beside.as_ref()?.keeps
    }

    /// Ends a task with it; gives back its memory.
    #[inline]
    fn end(self, task: impl Task) -> Vec<u8> {
        let Self { kind, flags, mut bytes, body, beside } = self;
        let Beside { arena, lease, .. } = beside.map(|beside| *beside).unwrap_or_default();
        let body = &bytes[body..];
        if flags.has(Flags::SPILLED) || lease.is_some() {
            let view = || {
                let (offset, len) = parse_place(body)?;
                arena.as_ref()?.slice(manyhands_shm::Place { offset, len }).ok()
            };
            let spilled = flags.has(Flags::SPILLED).then(view);
            let carrier = Carrier { source: arena.clone(), lease, ..Carrier::default() };
            carrying(carrier, || match spilled {
                None => task.answer(kind, body),
                Some(Some(view)) => task.answer(kind, &view),
                Some(None) => task.answer(kind, &[]), // Which is no answer, and said so.
            });
        } else {
            task.answer(kind, body);
        }
        bytes.clear();
        bytes
    }
}

/// Ends tasks; what their answers came in is spare. A panic costs neither the thread nor the tasks that are to
/// be ended next.
pub(super) fn end_all<T: Task>(endings: &mut Vec<Ending<T>>, spare: &mut Vec<Vec<u8>>) {
    const MOST_BYTES: usize = 4 << 10;
    let mut endings = endings.drain(..);
    // Nothing of what this thread carries, if it is about to write or read something itself.
    carrying(Carrier::default(), || {
        while endings.len() > 0 {
            panic::contain(|| {
                for ending in endings.by_ref() {
                    if let Some(bytes) = ending.end()
                        && bytes.capacity() <= MOST_BYTES
                    {
                        spare.push(bytes);
                    }
                }
            });
        }
    });
}

impl<T: Task> Ending<T> {
    /// Ends the task; what it does not need of it any more.
    #[inline]
    fn end(self) -> Option<Vec<u8>> {
        match self {
            Self::Answered { task, answer } => Some(answer.end(task)),
            Self::Lost(lost) => {
                let Lost { task, loss, request } = *lost;
                let for_show = Carrier { for_show: true, ..Carrier::default() };
                carrying(for_show, || task.lose(loss, request.kind(), request.body()));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::crossing::write_list;
    use crate::process::supervisor::{OnCrash, Options, Supervisor};

    #[test]
    fn what_is_let_go_of_while_it_is_answered_is_not_kept() {
        let supervisor = Supervisor::<()>::new(Options {
            max_workers: NonZeroU32::MIN,
            most_extra: 0,
            capacity: NonZeroU32::MIN,
            on_crash: OnCrash::Isolate,
            retries: 0,
            max_tasks_per_child: None,
            births: NonZeroU32::MIN,
            grace: Duration::ZERO,
            spares_first: false,
        });
        let mut flags = Flags::default();
        flags.set(Flags::KEEPS, true);
        flags.set(Flags::RETURNS, true);
        let mut bytes = AnswerHead { nanos: 0, kind: Kind::One, flags }.to_bytes().to_vec();
        write_list(&[0], &mut bytes);
        let mut place = Place::default();
        let mut answer = None;
        assert!(place.understand(supervisor.seat(0), bytes, &mut answer).is_some());
        assert!(answer.unwrap().keeps().is_none() && place.kept.is_empty());
    }
}
