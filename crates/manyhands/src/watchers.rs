//! Those who are to be told of a task's end: the list a promise keeps of them, and the list it hands
//! out when the end has come.

/// One who is to be told of a task's end.
///
/// ```
/// use manyhands::promise::{Promise, Watch};
///
/// enum Tell { Callback(fn()), Waiter }
///
/// impl Watch for Tell {
///     fn waits_for_notice(&self) -> bool {
///         matches!(self, Self::Waiter)
///     }
/// }
///
/// let task: Promise<(), i32, String, Tell> = Promise::new(None);
/// drop(task.cancel()); // and its executor does not know yet
/// assert!(task.watch(Tell::Callback(|| ())).is_err());
/// assert!(task.watch(Tell::Waiter).is_ok());
/// ```
pub trait Watch {
    /// Whether this one is told of a cancelled task only when its executor has been
    /// (`CANCELLED_AND_NOTIFIED`), as `wait` and `as_completed` are; callbacks are told at once.
    fn waits_for_notice(&self) -> bool;
}

/// Those to be told of an end, in the order in which they came. The host tells them with no lock
/// held.
///
/// ```
/// use manyhands::promise::{Promise, Watch};
///
/// #[derive(Debug, PartialEq)]
/// struct Tell(u8);
///
/// impl Watch for Tell {
///     fn waits_for_notice(&self) -> bool {
///         false
///     }
/// }
///
/// let task: Promise<(), i32, String, Tell> = Promise::new(None);
/// assert!(task.watch(Tell(1)).is_ok() && task.watch(Tell(2)).is_ok());
/// let wake = task.finish(Ok(5), |_| ()).unwrap();
/// assert!(!wake.is_empty());
/// assert!(wake.eq([Tell(1), Tell(2)]));
/// ```
#[must_use = "those who wait for this task have to be told"]
#[derive(Debug)]
pub struct Wake<W>(Watchers<W>);

impl<W> Wake<W> {
    /// Whether nobody is to be told.
    pub fn is_empty(&self) -> bool {
        self.0.head.is_none()
    }
}

impl<W> Iterator for Wake<W> {
    type Item = W;

    fn next(&mut self) -> Option<W> {
        self.0.pop()
    }
}

/// A list of watchers, eight bytes while it is empty, which it nearly always is.
#[derive(Debug)]
pub(crate) struct Watchers<W> {
    head: Option<Box<Node<W>>>,
}

#[derive(Debug)]
struct Node<W> {
    watcher: W,
    next: Option<Box<Node<W>>>,
}

impl<W> Watchers<W> {
    pub(crate) fn new() -> Self {
        Self { head: None }
    }

    /// Keeps the newest first, so that a push costs the same however many there are.
    pub(crate) fn push(&mut self, watcher: W) {
        self.head = Some(Box::new(Node { watcher, next: self.head.take() }));
    }

    fn pop(&mut self) -> Option<W> {
        let Node { watcher, next } = *self.head.take()?;
        self.head = next;
        Some(watcher)
    }

    /// All of them, newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &W> {
        std::iter::successors(self.head.as_deref(), |node| node.next.as_deref())
            .map(|node| &node.watcher)
    }

    /// All of them, oldest first.
    pub(crate) fn take_all(&mut self) -> Wake<W> {
        let mut reversed = None;
        let mut rest = self.head.take();
        while let Some(mut node) = rest {
            rest = std::mem::replace(&mut node.next, reversed.take());
            reversed = Some(node);
        }
        Wake(Self { head: reversed })
    }

    /// Those that `which` picks, oldest first; the others stay.
    pub(crate) fn take_if(&mut self, mut which: impl FnMut(&W) -> bool) -> Wake<W> {
        let mut taken = Self { head: None };
        let all = self.take_all();
        for watcher in all {
            if which(&watcher) {
                taken.push(watcher);
            } else {
                self.push(watcher);
            }
        }
        taken.take_all()
    }
}

/// One by one: dropping a long chain of boxes by recursion would overflow the stack.
impl<W> Drop for Watchers<W> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
