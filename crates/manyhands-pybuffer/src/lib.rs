//! What crosses the border to Python as addresses and numbers, for data that crosses between processes:
//! memory of ours is shown to Python where it lies, memory of Python's is copied from, descriptors of
//! Python's become ours. And where Python's code is that calls us, which objects the collector of cycles looks at,
//! what the GIL guards, and where our own memory comes from.
//!
//! With `manyhands-shm`, `manyhands-join` and `manyhands-lock` this crate has all the unsafe code of the workspace;
//! what it offers is safe.
//!
//! | for | see |
//! |---|---|
//! | memory that NumPy arrays and memoryviews may lie in | [`SharedBuffer`], over a [`Memory`] |
//! | the bytes of a `pickle.PickleBuffer`, or of any array | [`Buffer`] |
//! | a descriptor that Python gives away | [`take_descriptor`] |
//! | which line of a program has called | [`current_frame`], [`Spot`] |
//! | an object that the collector need not look at yet | [`Hidden`], [`HiddenObject`], [`may_lead_back`] |
//! | a value that one thread at a time has | [`Exclusive`] |
//! | an iterator's next object, if it is at hand | [`AtHand`] |
//! | the allocator of the extension | [`MiMalloc`] |
//!
//! # Who may write
//!
//! Python lets every thread of a program write to a buffer that another looks at. That is the program's
//! to avoid, as it is everywhere in Python: who does not reads a mixture of old and new bytes.

mod allocator;
mod buffer;
mod descriptor;
mod exclusive;
mod frame;
mod iteration;
mod memory;
mod shared;
mod tracking;

pub use allocator::MiMalloc;
pub use buffer::Buffer;
pub use descriptor::take_descriptor;
pub use exclusive::{Attached, Exclusive, Held};
pub use frame::{Spot, current_frame};
pub use iteration::{AtHand, UsualWay, give_at_once};
pub use memory::Memory;
pub use shared::SharedBuffer;
pub use tracking::{Hidden, HiddenObject, may_lead_back};
