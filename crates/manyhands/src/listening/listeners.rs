//! The words of the protocol that are under the lock, and what they say: at which doorbell an answer rings.

use std::thread::ThreadId;
use std::time::Instant;

use super::{CALLERS, MANAGERS};

use crate::sync::sabotaged;

/// Who listens, and who of them sleeps.
pub(crate) struct Listeners {
    /// The manager sleeps.
    pub(super) manager: Option<Sleep>,
    pub(super) attendant: Option<Attendant>,
    /// The doorbells to be rung as soon as the lock is let go: there was an answer before a link could be
    /// told to ring them.
    pub(super) rings: [bool; 2],
}

/// The manager's sleep.
#[derive(Clone, Copy)]
pub(crate) struct Sleep {
    /// At the latest.
    pub(crate) until: Option<Instant>,
}

pub(super) struct Attendant {
    pub(super) thread: ThreadId,
    pub(super) asleep: bool,
}

/// A link over which answers come.
pub(crate) trait Answers {
    /// Whether one may come.
    fn is_busy(&self) -> bool;

    /// From now on an answer rings this doorbell. Whether one is there already: then it does not.
    fn set_asleep(&mut self, doorbell: usize) -> bool;

    /// Answers need not ring.
    fn set_awake(&mut self);
}

impl Listeners {
    /// Nobody: the manager is awake.
    pub(crate) fn new() -> Self {
        Self { manager: None, attendant: None, rings: [false; 2] }
    }

    /// Whether this thread attends.
    pub(crate) fn is_attendant(&self, thread: ThreadId) -> bool {
        self.attendant.as_ref().is_some_and(|attendant| attendant.thread == thread)
    }

    /// A request was put into this link: its answer is to wake whoever sees to it.
    pub(crate) fn sent(&mut self, link: &mut impl Answers) {
        if !sabotaged("listening_sender_tells_no_link")
            && let Some(doorbell) = self.doorbell()
            && link.set_asleep(doorbell)
            && !sabotaged("listening_sender_rings_nobody")
        {
            self.rings[doorbell] = true;
        }
    }

    /// The one that an answer is to ring, if whoever sees to answers sleeps.
    fn doorbell(&self) -> Option<usize> {
        match &self.attendant {
            Some(attendant) => attendant.asleep.then_some(CALLERS),
            None => self.manager.map(|_| MANAGERS),
        }
    }

    /// Has answers ring the doorbell of whoever sees to them and sleeps; whether there is one already.
    pub(super) fn listen<'a, L: Answers + 'a>(
        &self,
        links: impl Iterator<Item = &'a mut L>,
    ) -> bool {
        let Some(doorbell) = self.doorbell() else { return false };
        let mut answers = false;
        for link in busy(links) {
            answers |= link.set_asleep(doorbell);
        }
        answers
    }

    pub(super) fn set_attendant_asleep(&mut self, asleep: bool) {
        if let Some(attendant) = &mut self.attendant {
            attendant.asleep = asleep;
        }
    }
}

/// Those over which an answer may come.
pub(super) fn busy<'a, L: Answers + 'a>(
    links: impl Iterator<Item = &'a mut L>,
) -> impl Iterator<Item = &'a mut L> {
    links.filter(|link| link.is_busy())
}
