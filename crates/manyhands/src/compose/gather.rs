//! Many futures as one: all their values, or the first failure.

use std::sync::{Arc, Weak};

use super::derived::{cancel, finish};
use crate::errors::{Exception, FutureError};
use crate::future::{Continue, Core, Future};
use crate::job::{self, Carried};
use crate::nested::{Source, Sources};
use crate::onward;
use crate::panic;
use crate::promise::Promise;
use crate::sync::Mutex;

/// A future with the values of all these, in their order. It fails as soon as one of them fails, with
/// that exception, and is cancelled when one of them is; the others go on. Of none at all, it is done.
///
/// The values are moved out of the futures, when they come.
///
/// ```
/// use manyhands::{Executor, ThreadPoolExecutor, join_all};
///
/// let pool = ThreadPoolExecutor::new(2)?;
/// let squares = (1..=3).map(|n| pool.spawn(move || n * n)).collect::<Result<Vec<_>, _>>()?;
/// let sum = join_all(squares).map(|squares| squares.iter().sum::<i32>());
/// assert_eq!(sum.result(None)?, 14);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn join_all<T, E>(futures: impl IntoIterator<Item = Future<T, E>>) -> Future<Vec<T>, E>
where
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    let futures: Vec<_> = futures.into_iter().collect();
    let slots: Vec<Option<T>> = futures.iter().map(|_| None).collect();
    let gather = Gather::new(slots, futures.len());
    let core: Arc<Core<_, Vec<T>, E>> =
        Arc::new(Promise::new(Some(CloseOnDrop(Arc::clone(&gather)))));
    core.set_pool(futures.iter().map(Future::pool).find(|&pool| pool != 0).unwrap_or(0));
    let joined = Future::task(Arc::clone(&core) as _);
    gather.then(move |gathered| match gathered {
        Gathered::All(slots) => finish(&core, Ok(slots.into_iter().flatten().collect())),
        Gathered::Failed(exception) => finish(&core, Err(exception)),
        Gathered::Cancelled => cancel(&core),
    });
    for (index, future) in futures.into_iter().enumerate() {
        gather.wait_for(&future, move |slots, value| slots[index] = Some(value), |same| same);
    }
    joined
}

/// What several futures have come to.
pub(super) enum Gathered<S, X> {
    All(S),
    Failed(X),
    Cancelled,
}

/// Takes the values of several futures as they come.
pub(super) struct Gather<S, X>(Mutex<Option<Open<S, X>>>);

struct Open<S, X> {
    slots: S,
    left: usize,
    /// Those whose values have not come.
    sources: Vec<Option<Weak<dyn Source>>>,
    then: Option<Then<S, X>>,
}

type Then<S, X> = Box<dyn FnOnce(Gathered<S, X>) + Send>;

impl<S: Send + 'static, X: Send + 'static> Gather<S, X> {
    pub(super) fn new(slots: S, left: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Some(Open {
            slots,
            left,
            sources: Vec::with_capacity(left),
            then: None,
        }))))
    }

    /// Has `then` called, once, when all values are there or one will not come.
    pub(super) fn then(&self, then: impl FnOnce(Gathered<S, X>) + Send + 'static) {
        let mut then: Option<Then<S, X>> = Some(Box::new(then));
        let mut open = self.0.lock();
        let complete = match &mut *open {
            Some(gathering) if gathering.left == 0 => open.take(),
            Some(gathering) => {
                gathering.then = then.take();
                None
            }
            None => None,
        };
        drop(open);
        if let (Some(Open { slots, .. }), Some(then)) = (complete, then) {
            then(Gathered::All(slots));
        }
    }

    /// One of the futures. `put` says where its value goes, `failed` what its exception is here.
    pub(super) fn wait_for<T, E>(
        self: &Arc<Self>,
        future: &Future<T, E>,
        put: impl Fn(&mut S, T) + Send + Sync + 'static,
        failed: impl Fn(Exception<E>) -> X + Send + Sync + 'static,
    ) where
        T: Send + 'static,
        E: Send + Sync + 'static,
    {
        let Some(number) = self.add(future.as_source()) else { return };
        future.go_on_with(Arc::new(Part { gather: Arc::clone(self), number, put, failed }));
    }

    /// `None`: it needs no more.
    fn add(&self, source: Option<Weak<dyn Source>>) -> Option<usize> {
        let mut open = self.0.lock();
        let sources = &mut open.as_mut()?.sources;
        sources.push(source);
        Some(sources.len() - 1)
    }

    /// See [`Source::sources`]. `None`: it needs no more.
    pub(super) fn sources(&self) -> Option<Sources> {
        let open = self.0.lock();
        let Open { left, sources, .. } = open.as_ref()?;
        let known: Sources = sources.iter().flatten().cloned().collect();
        // Of one that nobody knows, nobody knows when it ends.
        Some(if known.len() == *left { known } else { Vec::new() })
    }

    /// Whether nobody wants the values any more, or all is over.
    fn is_closed(&self) -> bool {
        self.0.lock().is_none()
    }

    fn put(&self, number: usize, put: impl FnOnce(&mut S)) {
        let mut open = self.0.lock();
        let Some(gathering) = &mut *open else { return };
        put(&mut gathering.slots);
        gathering.sources[number] = None;
        gathering.left -= 1;
        if gathering.left == 0 {
            let complete = open.take();
            drop(open);
            if let Some(Open { slots, then: Some(then), .. }) = complete {
                then(Gathered::All(slots));
            }
        }
    }

    fn end(&self, how: Gathered<S, X>) {
        let open = self.0.lock().take();
        if let Some(Open { then, slots, .. }) = open {
            panic::drop_caught(slots);
            if let Some(then) = then {
                then(how);
            }
        }
    }
}

/// In a future that is cancelled: nobody wants the values any more.
pub(super) struct CloseOnDrop<S, X>(pub(super) Arc<Gather<S, X>>);

impl<S, X, T, E> Carried<T, E> for CloseOnDrop<S, X>
where
    S: Send + 'static,
    X: Send + 'static,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    fn as_source(core: Arc<Core<Self, T, E>>) -> Option<Weak<dyn Source>> {
        Some(job::source(&core))
    }

    fn sources(carried: Option<&Self>) -> Option<Sources> {
        Some(carried.and_then(|it| it.0.sources()).unwrap_or_default())
    }
}

impl<S, X> Drop for CloseOnDrop<S, X> {
    fn drop(&mut self) {
        let open = self.0.0.lock().take();
        panic::drop_caught(open);
    }
}

struct Part<S, X, P, F> {
    gather: Arc<Gather<S, X>>,
    number: usize,
    put: P,
    failed: F,
}

impl<S, X, P, F, T, E> Continue<T, E> for Part<S, X, P, F>
where
    S: Send + 'static,
    X: Send + 'static,
    P: Fn(&mut S, T) + Send + Sync + 'static,
    F: Fn(Exception<E>) -> X + Send + Sync + 'static,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    fn go_on(self: Arc<Self>, source: Future<T, E>) {
        onward::go(move || {
            if !self.gather.is_closed() {
                match source.take() {
                    Ok(value) => self.gather.put(self.number, |slots| (self.put)(slots, value)),
                    Err(error) => self.gather.end(match error {
                        FutureError::Exception(own) => Gathered::Failed((self.failed)(own)),
                        FutureError::Taken => Gathered::Failed((self.failed)(Exception::Taken)),
                        FutureError::Refused(reason) => {
                            Gathered::Failed((self.failed)(Exception::Refused(reason)))
                        }
                        // It has ended, so it is none of these but the first.
                        FutureError::Cancelled
                        | FutureError::TimedOut
                        | FutureError::Deadlock(_) => Gathered::Cancelled,
                    }),
                }
            }
            panic::drop_caught((self, source));
        });
    }

    fn give_up(self: Arc<Self>) {
        onward::go(move || {
            self.gather.end(Gathered::Cancelled);
            panic::drop_caught(self);
        });
    }
}
