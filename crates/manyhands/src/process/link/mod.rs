//! THE TRANSPORT SEAM: how work reaches one worker process and how its answers come back.
//!
//! A link carries frames, which are bytes to it. The parent holds a [`Link`] for each worker, the
//! worker a [`WorkerLink`]. The life of a frame, as the parent sees it:
//!
//! ```text
//!  offer ──▶ in flight ──(the worker claims it)──▶ begun ──(its answer is received)──▶ release
//!               │
//!               └──▶ take_back: not begun, and never will be
//! ```
//!
//! The worker claims frames one at a time and in order, and answers in order. A link never decides
//! what a lost frame means: it can say how many were begun, and give the bytes of each back.

use std::fmt;
use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::PollFlags;

pub mod frames;
mod placement;
pub mod ring;
pub mod socket;

/// The parent's end of one worker's transport. No method blocks.
///
/// The worker may be broken or hostile: whatever it sends, the parent gets an answer or a
/// [`LinkError`], and never allocates more than what has arrived.
pub trait Link: fmt::Debug + Send {
    /// How many frames can be in flight: offered and not released.
    fn capacity(&self) -> u32;

    /// The longest frame that can be offered, in bytes.
    fn max_frame(&self) -> usize;

    /// Sends the frame that `parts` make up one after the other. It is in flight from now on; what
    /// the system does not take at once is kept, and goes out in later calls of
    /// [`receive`](Self::receive).
    ///
    /// # Errors
    ///
    /// The frame is then not in flight, and nothing of it reaches the worker.
    fn offer(&mut self, parts: &[&[u8]]) -> Result<(), OfferError> {
        self.put(parts)?;
        self.publish();
        Ok(())
    }

    /// The same, but the worker may hear of it only when it is [published](Self::publish), with others.
    ///
    /// # Errors
    ///
    /// As for [`offer`](Self::offer).
    fn put(&mut self, parts: &[&[u8]]) -> Result<(), OfferError>;

    /// Has the worker hear of what was [put](Self::put) into the link.
    fn publish(&mut self) {}

    /// How many frames are in flight.
    fn in_flight(&self) -> u32;

    /// How many of the frames in flight the worker has begun, the oldest ones. What it has begun
    /// before it died is known once `receive` has said [`Closed`](LinkError::Closed).
    fn claimed(&self) -> u32;

    /// The oldest `frames` are answered: they are in flight no more, and their bytes are gone.
    ///
    /// # Panics
    ///
    /// If fewer are in flight.
    fn release(&mut self, frames: u32);

    /// A copy of the `nth` oldest frame in flight: for reports and retries.
    fn request(&self, nth: u32) -> Option<Vec<u8>>;

    /// Takes back at most `most` of the newest frames in flight, oldest first, that the worker has
    /// not begun. It will never see them. May give fewer than there are as long as the worker lives;
    /// once `receive` has failed, all are there for the asking.
    fn take_back(&mut self, most: u32) -> Vec<Vec<u8>>;

    /// Asks the task of the newest frame in flight to stop, through its [`StopToken`]: what is not begun
    /// has been taken back before, so that it is this one which runs, even if the answers of others
    /// are still to be received. Comes to nothing if it was answered; never reaches another frame.
    fn ask_to_stop(&mut self);

    /// Puts the next answer into `into`, in place of what is there, and says whether there was one.
    /// Also does what is left to do for the link, such as sending what is kept: to be called until
    /// it says `false` whenever [`interest`](Self::interest) or the doorbell is ready.
    ///
    /// # Errors
    ///
    /// The link is over, and says the same from now on. All whole answers have been received before.
    fn receive(&mut self, into: &mut Vec<u8>) -> Result<bool, LinkError>;

    /// A cheap look for those who spin: whether calling [`receive`](Self::receive) may be worth it.
    fn has_answer(&self) -> bool;

    /// Before a thread of the parent sleeps: from now on an answer rings this doorbell, the first or the
    /// second of the pool's. Whether one is there after all, and the thread must not sleep. (A link that
    /// has a descriptor to poll needs no doorbell.)
    #[must_use = "whoever sleeps beside an answer sleeps for ever"]
    fn set_asleep(&mut self, doorbell: usize) -> bool;

    /// After it slept: answers need not ring.
    fn set_awake(&mut self);

    /// The worker's process has ended: `receive` gives what it had sent, and then says
    /// [`Closed`](LinkError::Closed); it never says `false` again. Not every link can tell by itself: memory has no end of file, and
    /// a socket's may be held open by a child that the worker has left behind.
    fn set_dead(&mut self);

    /// What to poll for, besides the pool's doorbell. It changes from call to call.
    fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)>;
}

/// The worker's end of its transport. One thread claims and answers.
pub trait WorkerLink: fmt::Debug + Send {
    /// Waits for the next frame and tells the parent that it is begun. `None` after `wait` without
    /// one, or earlier, when a signal came; with `None` for `wait`, waits as long as it takes.
    ///
    /// # Errors
    ///
    /// [`LinkError::Closed`] if the parent is gone or has closed the link: the worker's end.
    fn claim(&mut self, wait: Option<Duration>) -> Result<Option<&[u8]>, LinkError>;

    /// Answers the frame that was claimed last with the bytes that `parts` make up. Blocks while
    /// the way is full.
    ///
    /// # Errors
    ///
    /// As for [`claim`](Self::claim).
    fn answer(&mut self, parts: &[&[u8]]) -> Result<(), LinkError>;

    /// Whether it has waited, for a frame or for room, since this was asked last.
    fn has_waited(&mut self) -> bool;

    /// The number of the frame that was claimed last, of those that run: for a [`StopToken`].
    fn frame(&self) -> u64;

    /// Where stop tokens look.
    fn stop_source(&self) -> Arc<dyn StopSource>;

    /// For the task of the frame that was claimed last: whether it is asked to stop.
    fn stop_token(&self) -> StopToken {
        StopToken::new(self.stop_source(), self.frame())
    }
}

/// Tells a running task that it is asked to stop.
#[derive(Clone)]
pub struct StopToken {
    frame: u64,
    source: Arc<dyn StopSource>,
}

impl StopToken {
    /// The token of the link's `frame`.
    pub fn new(source: Arc<dyn StopSource>, frame: u64) -> Self {
        Self { frame, source }
    }

    /// Whether the task is asked to stop: by the parent, or because the parent is gone.
    pub fn is_set(&self) -> bool {
        self.source.is_asked(self.frame)
    }
}

impl fmt::Debug for StopToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StopToken").field("frame", &self.frame).finish_non_exhaustive()
    }
}

/// Where a [`StopToken`] looks: a link's part that all threads of the worker can reach.
pub trait StopSource: Send + Sync {
    /// Whether this frame's task is asked to stop. Frames are numbered as the link likes. A frame
    /// that is not the one that is running gets any answer.
    fn is_asked(&self, frame: u64) -> bool;
}

/// Why a frame was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum OfferError {
    /// As many frames are in flight as the link can hold, or no bytes are left: offer it again after
    /// [`Link::release`].
    #[error("the worker's link is full: offer the frame again when one is answered")]
    Full,
    /// It can never be accepted.
    #[error(
        "a frame of {frame} bytes is too large for the worker's link, which takes up to {most}"
    )]
    TooLarge {
        /// Its length.
        frame: usize,
        /// [`Link::max_frame`].
        most: usize,
    },
    /// The worker is gone.
    #[error("the worker's link is broken: {0}")]
    Broken(#[source] io::Error),
}

/// Why a link is over.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The other side is gone. An answer that was only sent in part is dropped.
    #[error("the other side has closed the link")]
    Closed,
    /// The other side has sent what it never should.
    #[error("the other side of the link does not keep to the protocol: {why}")]
    Torn {
        /// What it has sent.
        why: String,
    },
    /// The system refused.
    #[error("the link failed: {0}")]
    Io(#[from] io::Error),
}
