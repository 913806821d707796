//! What a `map` does with each item: the four ways to call a function, as types.

use std::convert::Infallible;
use std::vec::Drain;

use crate::crossing::{Answer, Body, Declared, DecodeError, EncodeError, FunctionType};
use crate::function::Function;

/// Calls a function with one item of a map.
///
/// Implemented by what [`Executor::map`](crate::Executor::map) and its kin make of their function;
/// there is no need to implement it.
pub trait Step<V>: Send + Sync + 'static {
    /// What the function returns.
    type Value: Send + 'static;
    /// How it can fail.
    type Error: Send + Sync + 'static;

    /// Calls it.
    ///
    /// # Errors
    /// The function's own.
    fn step(&self, item: V) -> Result<Self::Value, Self::Error>;

    /// Calls it with one item after the other, and pushes the values, up to the first failure. A
    /// panic costs no value before it either.
    ///
    /// # Errors
    /// The function's own.
    fn steps(&self, items: Drain<'_, V>, values: &mut Vec<Self::Value>) -> Result<(), Self::Error> {
        for item in items {
            values.push(self.step(item)?);
        }
        Ok(())
    }

    /// Whether the function returns a `Result` whose `Err` ends a chunk.
    #[doc(hidden)]
    const FALLIBLE: bool;

    /// The function, for an executor in another process.
    #[doc(hidden)]
    fn function() -> FunctionType;

    /// Writes an item as the function's arguments.
    #[doc(hidden)]
    fn pack(item: V, declared: &dyn Declared, body: &mut Body) -> Result<(), EncodeError>;

    /// Reads what the function returned.
    #[doc(hidden)]
    fn unpack(
        declared: &dyn Declared,
        answer: &mut Answer<'_>,
    ) -> Result<Result<Self::Value, Self::Error>, DecodeError>;
}

/// `map`: the item is the argument.
#[derive(Debug)]
pub struct Each<F>(pub(crate) F);

/// `try_map`: the item is the argument, the function returns a `Result`.
#[derive(Debug)]
pub struct TryEach<F>(pub(crate) F);

/// `starmap`: the item is the tuple of arguments.
#[derive(Debug)]
pub struct Star<F>(pub(crate) F);

/// `try_starmap`: the item is the tuple of arguments, the function returns a `Result`.
#[derive(Debug)]
pub struct TryStar<F>(pub(crate) F);

impl<F, V, T> Step<V> for Each<F>
where
    V: 'static,
    F: Fn(V) -> T + Send + Sync + 'static,
    T: Send + 'static,
{
    type Value = T;
    type Error = Infallible;

    fn step(&self, item: V) -> Result<T, Infallible> {
        Ok((self.0)(item))
    }

    // The length is known beforehand here, which makes a tighter loop.
    fn steps(&self, items: Drain<'_, V>, values: &mut Vec<T>) -> Result<(), Infallible> {
        values.extend(items.map(&self.0));
        Ok(())
    }

    const FALLIBLE: bool = false;

    fn function() -> FunctionType {
        FunctionType::of::<F>()
    }

    fn pack(item: V, declared: &dyn Declared, body: &mut Body) -> Result<(), EncodeError> {
        body.arguments(declared, (item,))
    }

    fn unpack(
        declared: &dyn Declared,
        answer: &mut Answer<'_>,
    ) -> Result<Result<T, Infallible>, DecodeError> {
        Ok(Ok(answer.value(declared)?))
    }
}

impl<F, V, T, E> Step<V> for TryEach<F>
where
    V: 'static,
    F: Fn(V) -> Result<T, E> + Send + Sync + 'static,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    type Value = T;
    type Error = E;

    fn step(&self, item: V) -> Result<T, E> {
        (self.0)(item)
    }

    const FALLIBLE: bool = true;

    fn function() -> FunctionType {
        FunctionType::of::<F>()
    }

    fn pack(item: V, declared: &dyn Declared, body: &mut Body) -> Result<(), EncodeError> {
        body.arguments(declared, (item,))
    }

    fn unpack(
        declared: &dyn Declared,
        answer: &mut Answer<'_>,
    ) -> Result<Result<T, E>, DecodeError> {
        answer.value(declared)
    }
}

impl<F, V, T> Step<V> for Star<F>
where
    V: 'static,
    F: Function<V, Output = T> + Clone + Send + Sync + 'static,
    T: Send + 'static,
{
    type Value = T;
    type Error = Infallible;

    fn step(&self, item: V) -> Result<T, Infallible> {
        Ok(self.0.clone().call(item))
    }

    const FALLIBLE: bool = false;

    fn function() -> FunctionType {
        FunctionType::of::<F>()
    }

    fn pack(item: V, declared: &dyn Declared, body: &mut Body) -> Result<(), EncodeError> {
        body.arguments(declared, item)
    }

    fn unpack(
        declared: &dyn Declared,
        answer: &mut Answer<'_>,
    ) -> Result<Result<T, Infallible>, DecodeError> {
        Ok(Ok(answer.value(declared)?))
    }
}

impl<F, V, T, E> Step<V> for TryStar<F>
where
    V: 'static,
    F: Function<V, Output = Result<T, E>> + Clone + Send + Sync + 'static,
    T: Send + 'static,
    E: Send + Sync + 'static,
{
    type Value = T;
    type Error = E;

    fn step(&self, item: V) -> Result<T, E> {
        self.0.clone().call(item)
    }

    const FALLIBLE: bool = true;

    fn function() -> FunctionType {
        FunctionType::of::<F>()
    }

    fn pack(item: V, declared: &dyn Declared, body: &mut Body) -> Result<(), EncodeError> {
        body.arguments(declared, item)
    }

    fn unpack(
        declared: &dyn Declared,
        answer: &mut Answer<'_>,
    ) -> Result<Result<T, E>, DecodeError> {
        answer.value(declared)
    }
}
