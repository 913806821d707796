//! Memory, and its exposure: its owner is put away, and only the address of its bytes is used.
#![allow(unsafe_code)]

use std::ptr::NonNull;

/// What owns bytes that Python is to see. It is dropped when Python looks at them no more.
pub trait Memory: Send + 'static {
    /// The bytes.
    fn bytes(&self) -> &[u8];

    /// The same bytes, to be written; none if Python may only read them.
    fn bytes_mut(&mut self) -> Option<&mut [u8]>;
}

/// Bytes that stay where they are, and that may be read, and written if they are writable, through a
/// pointer and by any thread, until this is dropped.
#[derive(Debug)]
pub(crate) struct Exposed {
    /// A box, as a pointer: to move a box says that nobody else has a pointer into it.
    owner: NonNull<dyn Memory>,
    /// Borrowed from the owner for as long as `self` lives. Nothing else is done with the owner.
    bytes: NonNull<[u8]>,
    is_writable: bool,
}

// SAFETY: the owner may be sent, and so may a borrowed slice of bytes. Covered by
// `python/tests/process/test_process_data.py`.
unsafe impl Send for Exposed {}
// SAFETY: a shared `Exposed` gives away an address and a length; who reads and writes there is
// answered for where that is given to Python. Covered as `Send` is.
unsafe impl Sync for Exposed {}

impl Exposed {
    pub(crate) fn new(memory: impl Memory) -> Self {
        let owner: &mut dyn Memory = Box::leak(Box::new(memory));
        // From here on it is freed even if the methods of the owner panic.
        let nothing = NonNull::from(&mut []);
        let mut exposed = Self { owner: NonNull::from(owner), bytes: nothing, is_writable: false };
        // SAFETY: it was a box, and is nobody else's. Covered by `python/tests/process/test_process_data.py`.
        let owner = unsafe { exposed.owner.as_mut() };
        if let Some(bytes) = owner.bytes_mut() {
            (exposed.bytes, exposed.is_writable) = (NonNull::from(bytes), true);
        } else {
            exposed.bytes = NonNull::from(owner.bytes());
        }
        exposed
    }

    /// Where they begin.
    pub(crate) fn start(&self) -> *mut u8 {
        self.bytes.as_ptr().cast()
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(crate) fn is_writable(&self) -> bool {
        self.is_writable
    }
}

impl Drop for Exposed {
    fn drop(&mut self) {
        // SAFETY: it was a box, and the slice borrowed from it ends here, with `self`. Covered by
        // `python/tests/process/test_process_data.py`.
        drop(unsafe { Box::from_raw(self.owner.as_ptr()) });
    }
}
