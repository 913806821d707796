//! The memory of one worker: control words, lane, answers. Mapped from a memfd, or on the heap for
//! loom.

#[cfg(not(loom))]
pub(crate) use mapped::Memory;

#[cfg(loom)]
pub(crate) use modelled::Memory;

/// How large the two rings of a worker's memory are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Bytes for requests: a power of two, whole pages, at most 1 GiB.
    pub lane: usize,
    /// Bytes for answers: likewise.
    pub answers: usize,
}

impl Default for Shape {
    /// 256 KiB each: thousands of small tasks, and still in a core's own cache.
    fn default() -> Self {
        Self { lane: 256 << 10, answers: 256 << 10 }
    }
}

#[cfg(not(loom))]
mod mapped {
    use std::io;
    use std::ops::Range;
    use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::param::page_size;

    use super::Shape;
    use crate::control::{Control, NO_STOP};
    use crate::map::Map;
    use crate::memfd::Memfd;
    use crate::offers::Offers;
    use crate::sync::Word;
    use crate::words::WORD;

    /// "mhands", and the version of all that is said in shared memory.
    const MAGIC: u64 = u64::from_be_bytes(*b"mhands\0\x01");
    const MOST: usize = 1 << 30;

    #[derive(Debug)]
    pub(crate) struct Memory {
        map: Map,
        file: Memfd,
        lane: Range<usize>,
        answers: Range<usize>,
    }

    impl Memory {
        pub(crate) fn create(shape: Shape) -> io::Result<Self> {
            let lens = lens(shape).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!(
                        "{shape:?}: a ring is a power of two, one page at least, 1 GiB at most"
                    ),
                )
            })?;
            let file = Memfd::create("manyhands-worker", lens.whole)?;
            file.take(0, lens.whole as u64)?;
            let memory =
                Self { map: Map::new(&file, true)?, file, lane: lens.lane, answers: lens.answers };
            let control = memory.control();
            control.offers.store(Offers::NONE.pack(), Ordering::Relaxed);
            control.stop.store(NO_STOP, Ordering::Relaxed);
            control.header.lane.store(shape.lane as u64, Ordering::Relaxed);
            control.header.answers.store(shape.answers as u64, Ordering::Relaxed);
            control.header.magic.store(MAGIC, Ordering::Release);
            Ok(memory)
        }

        /// Opens what `create` made in another process. This is done once, by the one worker.
        pub(crate) fn open(fd: OwnedFd) -> io::Result<Self> {
            let file = Memfd::open(fd)?;
            if file.len() < page_size() {
                return Err(nonsense("it is shorter than a page"));
            }
            let map = Map::new(&file, true)?;
            let header = &map.control().header;
            if header.magic.load(Ordering::Acquire) != MAGIC {
                return Err(nonsense(
                    "it does not begin as a worker's memory of this version: parent and worker must \
                     be of the same version",
                ));
            }
            let told = |word: &AtomicU64| usize::try_from(word.load(Ordering::Relaxed));
            let lens = match (told(&header.lane), told(&header.answers)) {
                (Ok(lane), Ok(answers)) => lens(Shape { lane, answers }),
                _ => None,
            };
            let Some(lens) = lens.filter(|lens| lens.whole == file.len()) else {
                return Err(nonsense("the sizes in it are not its own"));
            };
            if header.opened.swap(1, Ordering::AcqRel) != 0 {
                return Err(nonsense("a worker has opened it before: each needs one of its own"));
            }
            let mut memory = Self { map, file, lane: lens.lane, answers: lens.answers };
            memory.map.forbid_writing(memory.lane.start, memory.lane.len())?;
            Ok(memory)
        }

        pub(crate) fn fd(&self) -> BorrowedFd<'_> {
            self.file.as_fd()
        }

        pub(crate) fn control(&self) -> &Control {
            self.map.control()
        }

        pub(crate) fn lane(&self) -> &[Word] {
            self.map.words(self.lane.start, self.lane.len() / WORD)
        }

        pub(crate) fn answers(&self) -> &[Word] {
            self.map.words(self.answers.start, self.answers.len() / WORD)
        }

        /// `len` bytes of the lane from `offset` on.
        ///
        /// # Safety
        /// The worker has claimed the frame they are of, and has sent nothing since.
        #[allow(unsafe_code)]
        pub(crate) unsafe fn frame(&self, offset: usize, len: usize) -> &[u8] {
            assert!(offset.checked_add(len).is_some_and(|end| end <= self.lane.len()));
            // SAFETY: the parent writes to no frame that is claimed before an answer tells it that
            // the worker is done with it; the caller answers for the rest.
            // Covered by the models in `loom_models::lane`, and `tests/streams.rs`.
            unsafe { self.map.bytes(self.lane.start + offset, len) }
        }
    }

    struct Lens {
        lane: Range<usize>,
        answers: Range<usize>,
        whole: usize,
    }

    /// Where everything lies, if the sizes are allowed.
    fn lens(shape: Shape) -> Option<Lens> {
        let page = page_size();
        let fits = |len: usize| len.is_power_of_two() && (page..=MOST).contains(&len);
        if !fits(shape.lane) || !fits(shape.answers) {
            return None;
        }
        let lane = page..page + shape.lane;
        let answers = lane.end..lane.end + shape.answers;
        Some(Lens { whole: answers.end, lane, answers })
    }

    fn nonsense(what: &str) -> io::Error {
        io::Error::new(
            io::ErrorKind::InvalidData,
            format!("this file descriptor cannot be used as a worker's memory: {what}"),
        )
    }
}

#[cfg(loom)]
mod modelled {
    use loom::sync::atomic::{AtomicU32, AtomicU64};

    use super::Shape;
    use crate::bell::Bell;
    use crate::control::{Apart, Control, Header, NO_STOP};
    use crate::offers::Offers;
    use crate::sync::Word;
    use crate::words::WORD;

    /// The same on the heap, for a thread as the worker.
    #[derive(Debug)]
    pub(crate) struct Memory {
        control: Control,
        lane: Vec<Word>,
        answers: Vec<Word>,
    }

    impl Memory {
        pub(crate) fn new(shape: Shape) -> Self {
            let zero = || AtomicU64::new(0);
            let ring = |len| (0..len / WORD).map(|_| Word::default()).collect();
            Self {
                control: Control {
                    header: Apart(Header {
                        magic: zero(),
                        lane: zero(),
                        answers: zero(),
                        opened: zero(),
                    }),
                    offers: Apart(AtomicU64::new(Offers::NONE.pack())),
                    bell: Apart(Bell::new()),
                    stop: Apart(AtomicU32::new(NO_STOP)),
                    tail: Apart(zero()),
                    head: Apart(zero()),
                    room: Apart(Bell::new()),
                },
                lane: ring(shape.lane),
                answers: ring(shape.answers),
            }
        }

        pub(crate) fn control(&self) -> &Control {
            &self.control
        }

        pub(crate) fn lane(&self) -> &[Word] {
            &self.lane
        }

        pub(crate) fn answers(&self) -> &[Word] {
            &self.answers
        }
    }
}
