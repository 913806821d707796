//! Tasks whose arguments are futures: submitted when these are done.

use std::fmt;
use std::panic::{AssertUnwindSafe, Location, catch_unwind};
use std::sync::Arc;

use super::derived::{cancel, finish};
use super::gather::{CloseOnDrop, Gather, Gathered};
use crate::call_site::CallSite;
use crate::crossing::{Answer, Body, Cross, Declared, DecodeError, EncodeError, FunctionType};
use crate::errors::{DependencyFailed, Exception};
use crate::executor::Executor;
use crate::function::Call;
use crate::future::{Core, Future};
use crate::job::Job;
use crate::nested::Sources;
use crate::panic;
use crate::promise::Promise;
use crate::sync::Mutex;

/// A tuple of up to six futures, for [`Executor::submit_after`]: `(Future<A>, Future<B>)` gives the
/// arguments `(A, B)`. Their errors have to have a text, so that it can be told why a task was not run.
///
/// ```
/// use manyhands::{Futures, Future};
///
/// fn values<D: Futures>(_: &D) -> &'static str {
///     std::any::type_name::<D::Values>()
/// }
///
/// let futures = (Future::<i32>::ready(1), Future::<char>::ready('a'));
/// assert_eq!(values(&futures), "(i32, char)");
/// ```
pub trait Futures: sealed::Collect<Self::Values> {
    /// What their values are together.
    type Values: Send + 'static;
}

/// Submits what `make` makes of `function` and the values of `futures`, once these are there. The future
/// is the task's from the beginning: until a worker begins it, it can be cancelled.
pub(crate) fn submit_after<X, F, D, C>(
    place: &'static Location<'static>,
    executor: X,
    function: F,
    futures: D,
    make: fn(F, D::Values) -> C,
) -> Future<C::Value, C::Error>
where
    X: Executor + 'static,
    F: Send + 'static,
    D: Futures,
    C: Cross,
    C::Value: Send + 'static,
    C::Error: Send + Sync + 'static,
{
    let gather = D::gather();
    let values = Arc::new(Mutex::new(None));
    let late = Late {
        function,
        values: Arc::clone(&values),
        make,
        wanted: CloseOnDrop(Arc::clone(&gather)),
    };
    let core: Arc<Core<_, C::Value, C::Error>> =
        Arc::new(Promise::placed(late, CallSite::of(place)));
    let future = Future::task(Arc::clone(&core) as _);
    gather.then(move |gathered| match gathered {
        Gathered::All(slots) => {
            *values.lock() = D::values(slots);
            submit(&executor, &core);
            panic::drop_caught(executor);
        }
        Gathered::Failed(failed) => {
            if let Some(late) = core.claim() {
                panic::drop_caught(late);
                finish(&core, Err(Exception::Dependency(failed)));
            }
        }
        Gathered::Cancelled => cancel(&core),
    });
    futures.collect(&gather);
    future
}

fn submit<C>(executor: &impl Executor, core: &Arc<LateCore<C>>)
where
    C: Cross,
    C::Value: Send + 'static,
    C::Error: Send + Sync + 'static,
{
    let job = Job::new(Arc::clone(core) as _);
    // Not by way of `panic::catch`, so that tasks that an executor runs here and now, one after the other,
    // need the stack of one.
    match catch_unwind(AssertUnwindSafe(|| executor.execute(job))) {
        Ok(Ok(())) => (),
        Ok(Err(refused)) => {
            if let Some(late) = core.claim() {
                panic::drop_caught(late);
                finish(core, Err(Exception::Refused(refused.reason)));
            }
            drop(refused.task);
        }
        // The job was dropped on the way, and has cancelled its future.
        Err(_) => log::error!("an executor has panicked when it was given a task"),
    }
}

type LateCore<C> = Core<C, <C as Call>::Value, <C as Call>::Error>;

/// A call whose arguments come later.
struct Late<F, V, S, C> {
    function: F,
    values: Arc<Mutex<Option<V>>>,
    make: fn(F, V) -> C,
    /// Dropped with the rest when the task is cancelled: then nobody needs the values.
    wanted: CloseOnDrop<S, DependencyFailed>,
}

impl<F, V, S: Send + 'static, C: Call> Call for Late<F, V, S, C> {
    type Value = C::Value;
    type Error = C::Error;

    fn call(self) -> Result<C::Value, C::Error> {
        self.made().call()
    }

    fn name() -> &'static str {
        C::name()
    }

    fn sources(&self) -> Option<Sources> {
        self.wanted.0.sources()
    }
}

impl<F, V, S: Send + 'static, C> Late<F, V, S, C> {
    fn made(self) -> C {
        let values = self.values.lock().take().expect("it is submitted with its values");
        (self.make)(self.function, values)
    }
}

impl<F, V, S, C> Cross for Late<F, V, S, C>
where
    F: Send + 'static,
    V: Send + 'static,
    S: Send + 'static,
    C: Cross,
{
    fn function() -> FunctionType {
        C::function()
    }

    fn pack(self, declared: &dyn Declared, body: &mut Body) -> Result<(), EncodeError> {
        self.made().pack(declared, body)
    }

    fn unpack(
        declared: &dyn Declared,
        answer: &mut Answer<'_>,
    ) -> Result<Result<C::Value, C::Error>, DecodeError> {
        C::unpack(declared, answer)
    }
}

mod sealed {
    use super::{Arc, DependencyFailed, Gather};

    pub trait Collect<V> {
        /// Where the values lie until all are there.
        type Slots: Send + 'static;

        #[allow(private_interfaces, reason = "nobody outside can call it")]
        fn gather() -> Arc<Gather<Self::Slots, DependencyFailed>>;
        #[allow(private_interfaces, reason = "nobody outside can call it")]
        fn collect(self, gather: &Arc<Gather<Self::Slots, DependencyFailed>>);
        fn values(slots: Self::Slots) -> Option<V>;
    }
}

macro_rules! futures {
    ($count:literal: $($value:ident $error:ident $index:tt)*) => {
        impl<$($value, $error),*> Futures for ($(Future<$value, $error>,)*)
        where
            $($value: Send + 'static,)*
            $($error: fmt::Debug + fmt::Display + Send + Sync + 'static,)*
        {
            type Values = ($($value,)*);
        }

        impl<$($value, $error),*> sealed::Collect<($($value,)*)> for ($(Future<$value, $error>,)*)
        where
            $($value: Send + 'static,)*
            $($error: fmt::Debug + fmt::Display + Send + Sync + 'static,)*
        {
            type Slots = ($(Option<$value>,)*);

            #[allow(private_interfaces, reason = "nobody outside can call it")]
            fn gather() -> Arc<Gather<Self::Slots, DependencyFailed>> {
                Gather::new(Default::default(), $count)
            }

            #[allow(private_interfaces, reason = "nobody outside can call it")]
            fn collect(self, gather: &Arc<Gather<Self::Slots, DependencyFailed>>) {
                $(gather.wait_for(
                    &self.$index,
                    |slots, value| slots.$index = Some(value),
                    |exception| DependencyFailed::new(None, exception),
                );)*
            }

            fn values(slots: Self::Slots) -> Option<($($value,)*)> {
                Some(($(slots.$index?,)*))
            }
        }
    };
}

futures!(1: A EA 0);
futures!(2: A EA 0 B EB 1);
futures!(3: A EA 0 B EB 1 C EC 2);
futures!(4: A EA 0 B EB 1 C EC 2 D ED 3);
futures!(5: A EA 0 B EB 1 C EC 2 D ED 3 G EG 4);
futures!(6: A EA 0 B EB 1 C EC 2 D ED 3 G EG 4 H EH 5);
