//! Futures that are made from others, and tasks that wait for others.
//!
//! Four rules hold for all of them:
//! - What is given closures runs them in the thread that ends (or cancels) the other future, or here and
//!   now if that is done; as callbacks do. Long work belongs on an executor. A closure's panic is the
//!   new future's exception.
//! - The value is *moved* on, as `into_result` and `.await` do: other handles on the first future get
//!   `Taken`. What many need is shared in an `Arc`.
//! - A cancelled future cancels those made from it. Cancelling one made from others cancels none of
//!   these: they may be somebody else's. Dropping a handle cancels nothing.
//! - A chain of any length ends on a small stack ([`onward`](crate::onward)).

mod after;
mod derived;
mod gather;
mod methods;
mod outcome;
mod race;
mod retry;
mod timed;

pub use after::Futures;
pub use gather::join_all;
pub use outcome::IntoOutcome;
pub use race::race;
pub use retry::Retry;
pub use timed::delay;

pub(crate) use after::submit_after;
