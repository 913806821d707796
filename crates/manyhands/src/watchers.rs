//! Those who are to be told of a task's end: the list a promise keeps of them, and the list it hands
//! out when the end has come.

use std::sync::Arc;

use crate::sleeper::Sleeper;

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

/// Nobody.
impl<W> Default for Wake<W> {
    fn default() -> Self {
        Self(Watchers::new())
    }
}

impl<W> Iterator for Wake<W> {
    type Item = W;

    fn next(&mut self) -> Option<W> {
        match self.0.pop()? {
            Told::Watcher(watcher) => Some(watcher),
            Told::Sleeper(_) => unreachable!("the promise has woken those itself"),
        }
    }
}

/// A list of watchers and of sleeping threads, eight bytes while it is empty, which it nearly always is.
#[derive(Debug)]
pub(crate) struct Watchers<W> {
    head: Option<Box<Node<W>>>,
}

#[derive(Debug)]
struct Node<W> {
    told: Told<W>,
    next: Option<Box<Node<W>>>,
}

#[derive(Debug)]
enum Told<W> {
    /// By the host.
    Watcher(W),
    /// By the promise.
    Sleeper(Arc<Sleeper>),
}

/// Threads to be woken, with no lock held.
#[must_use = "they sleep until they are woken"]
pub(crate) struct Sleepers<W>(Watchers<W>);

impl<W> Sleepers<W> {
    pub(crate) fn wake(mut self) {
        while let Some(told) = self.0.pop() {
            if let Told::Sleeper(sleeper) = told {
                sleeper.wake();
            }
        }
    }
}

impl<W> Watchers<W> {
    pub(crate) fn new() -> Self {
        Self { head: None }
    }

    pub(crate) fn push(&mut self, watcher: W) {
        self.push_told(Told::Watcher(watcher));
    }

    pub(crate) fn push_sleeper(&mut self, sleeper: Arc<Sleeper>) {
        self.push_told(Told::Sleeper(sleeper));
    }

    /// Keeps the newest first, so that a push costs the same however many there are.
    fn push_told(&mut self, told: Told<W>) {
        self.head = Some(Box::new(Node { told, next: self.head.take() }));
    }

    fn push_node(&mut self, mut node: Box<Node<W>>) {
        node.next = self.head.take();
        self.head = Some(node);
    }

    fn pop_node(&mut self) -> Option<Box<Node<W>>> {
        let mut node = self.head.take()?;
        self.head = node.next.take();
        Some(node)
    }

    fn pop(&mut self) -> Option<Told<W>> {
        self.pop_node().map(|node| node.told)
    }

    /// All that the host is to tell, newest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &W> {
        std::iter::successors(self.head.as_deref(), |node| node.next.as_deref()).filter_map(
            |node| match &node.told {
                Told::Watcher(watcher) => Some(watcher),
                Told::Sleeper(_) => None,
            },
        )
    }

    /// All of them, oldest first.
    pub(crate) fn take_all(&mut self) -> (Sleepers<W>, Wake<W>) {
        self.take_watchers(|_| true)
    }

    /// All who sleep, and of the others those that `which` picks, oldest first; the rest stay.
    pub(crate) fn take_watchers(
        &mut self,
        which: impl FnMut(&W) -> bool,
    ) -> (Sleepers<W>, Wake<W>) {
        let sleepers = self.take(|told| matches!(told, Told::Sleeper(_)));
        (Sleepers(sleepers), self.take_if(which))
    }

    /// Those that `which` picks, oldest first; the others stay, and all who sleep.
    pub(crate) fn take_if(&mut self, mut which: impl FnMut(&W) -> bool) -> Wake<W> {
        Wake(self.take(|told| matches!(told, Told::Watcher(watcher) if which(watcher))))
    }

    /// One who does not sleep any more.
    pub(crate) fn remove_sleeper(&mut self, gone: &Arc<Sleeper>) {
        let is_it = |sleeper: &_| Arc::ptr_eq(sleeper, gone);
        drop(self.take(|told| matches!(told, Told::Sleeper(sleeper) if is_it(sleeper))));
    }

    fn take(&mut self, mut which: impl FnMut(&Told<W>) -> bool) -> Self {
        let (mut taken, mut rest) = (Self::new(), Self::new());
        while let Some(node) = self.pop_node() {
            let list = if which(&node.told) { &mut taken } else { &mut rest };
            list.push_node(node);
        }
        while let Some(node) = rest.pop_node() {
            self.push_node(node);
        }
        taken
    }
}

impl<W> Default for Watchers<W> {
    fn default() -> Self {
        Self::new()
    }
}

/// One by one: dropping a long chain of boxes by recursion would overflow the stack.
impl<W> Drop for Watchers<W> {
    fn drop(&mut self) {
        while self.pop().is_some() {}
    }
}
