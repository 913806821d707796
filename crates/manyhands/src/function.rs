//! How a task is written: a function with a tuple of its arguments, or a closure, which is a
//! function without arguments.

use std::convert::Infallible;
use std::sync::Arc;

use crate::crossing::{Answer, Body, Cross, Declared, DecodeError, EncodeError, FunctionType};
use crate::errors::Exception;
use crate::nested::Sources;
use crate::panic;

/// Something that can be called with the arguments `Args`, a tuple: `fn(A, B) -> R` is a
/// `Function<(A, B), Output = R>`.
///
/// Implemented for every `FnOnce` of up to six arguments; there is no need to implement it.
///
/// ```
/// use manyhands::Function;
///
/// fn call<F: Function<A>, A>(function: F, args: A) -> F::Output {
///     function.call(args)
/// }
///
/// assert_eq!(call(u32::pow, (2, 5)), 32);
/// assert_eq!(call(|| 6 * 7, ()), 42);
/// ```
pub trait Function<Args> {
    /// What it returns.
    type Output;

    /// Calls it.
    fn call(self, args: Args) -> Self::Output;
}

macro_rules! function {
    ($($arg:ident)*) => {
        impl<F, R, $($arg),*> Function<($($arg,)*)> for F
        where
            F: FnOnce($($arg),*) -> R,
        {
            type Output = R;

            #[allow(non_snake_case, reason = "the type's name serves for the value")]
            fn call(self, ($($arg,)*): ($($arg,)*)) -> R {
                self($($arg),*)
            }
        }
    };
}

function!();
function!(A);
function!(A B);
function!(A B C);
function!(A B C D);
function!(A B C D G);
function!(A B C D G H);

/// A function and its arguments, waiting to be called.
pub(crate) trait Call {
    type Value;
    type Error;

    fn call(self) -> Result<Self::Value, Self::Error>;

    /// What it is called in errors.
    fn name() -> &'static str;

    /// What its arguments are made from, if they are not there yet.
    fn sources(&self) -> Option<Sources> {
        None
    }
}

/// A call that cannot fail but by panicking.
pub(crate) struct Plain<F, A>(pub(crate) F, pub(crate) A);

/// A call whose `Err` is the task's exception.
pub(crate) struct Fallible<F, A>(pub(crate) F, pub(crate) A);

impl<F: Function<A>, A> Call for Plain<F, A> {
    type Value = F::Output;
    type Error = Infallible;

    fn call(self) -> Result<F::Output, Infallible> {
        Ok(self.0.call(self.1))
    }

    fn name() -> &'static str {
        std::any::type_name::<F>()
    }
}

impl<F: Function<A, Output = Result<T, E>>, A, T, E> Call for Fallible<F, A> {
    type Value = T;
    type Error = E;

    fn call(self) -> Result<T, E> {
        self.0.call(self.1)
    }

    fn name() -> &'static str {
        std::any::type_name::<F>()
    }
}

impl<F, A> Cross for Plain<F, A>
where
    F: Function<A> + Send + 'static,
    A: Send + 'static,
    F::Output: 'static,
{
    fn function() -> FunctionType {
        FunctionType::of::<F>()
    }

    fn pack(self, declared: &dyn Declared, body: &mut Body) -> Result<(), EncodeError> {
        body.arguments(declared, self.1)
    }

    fn unpack(
        declared: &dyn Declared,
        answer: &mut Answer<'_>,
    ) -> Result<Result<F::Output, Infallible>, DecodeError> {
        Ok(Ok(answer.value(declared)?))
    }
}

impl<F, A, T, E> Cross for Fallible<F, A>
where
    F: Function<A, Output = Result<T, E>> + Send + 'static,
    A: Send + 'static,
    T: 'static,
    E: 'static,
{
    fn function() -> FunctionType {
        FunctionType::of::<F>()
    }

    fn pack(self, declared: &dyn Declared, body: &mut Body) -> Result<(), EncodeError> {
        body.arguments(declared, self.1)
    }

    fn unpack(
        declared: &dyn Declared,
        answer: &mut Answer<'_>,
    ) -> Result<Result<T, E>, DecodeError> {
        answer.value(declared)
    }
}

/// Makes the call; its error and its panic are both its exception.
pub(crate) fn attempt<C: Call>(call: C) -> Result<C::Value, Exception<C::Error>> {
    match panic::catch(|| call.call()) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Exception::Error(Arc::new(error))),
        Err(panic) => Err(Exception::Panic(panic)),
    }
}
