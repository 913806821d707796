//! How a call crosses to another process and its outcome comes back: functions that have been
//! declared, their arguments and results as bytes.
//!
//! A function item is known by its type, which is one and the same in two runs of the same program.
//! So a call is sent as the name of its function and the bytes of its arguments, and nothing in
//! [`Executor`](crate::Executor) asks for more than threads need: a function that was not declared, a
//! closure say, is refused when it is submitted, by its name.
//!
//! The bytes are postcard's: compact, with a specification that does not change, quick for the small
//! tuples that arguments mostly are, and without a schema, which two runs of one program do not need.

mod declared;
mod frame;
mod later;
mod perform;
mod remote;

use std::any::TypeId;

pub use declared::{Declared, Tasks};
pub use frame::{Answer, Body, Flags, Kind, RequestHead};
pub use later::tell_later;

pub(crate) use declared::{Registry, because, decode, encode, is_crossing, unread_because};
pub(crate) use frame::{
    AnswerHead, Failure, parse_place, place_to_bytes, read_list, read_number, write_list,
};
pub(crate) use later::{Telling, tell_all, tellings_of};
pub(crate) use perform::{fail, perform};
pub(crate) use remote::Remote;

use crate::function::Call;

/// A call that an executor in another process can make, if its function was declared there.
pub(crate) trait Cross: Call + Send + 'static {
    fn function() -> FunctionType;

    /// Writes the arguments.
    fn pack(self, declared: &dyn Declared, body: &mut Body) -> Result<(), EncodeError>;

    /// Reads the value, or the error that the function returned.
    #[allow(clippy::type_complexity, reason = "two ways to fail, told apart")]
    fn unpack(
        declared: &dyn Declared,
        answer: &mut Answer<'_>,
    ) -> Result<Result<Self::Value, Self::Error>, DecodeError>;
}

/// A function as a type: what it is found by, and what it is called in errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FunctionType {
    pub(crate) id: TypeId,
    pub(crate) name: &'static str,
}

impl FunctionType {
    pub(crate) fn of<F: 'static>() -> Self {
        Self { id: TypeId::of::<F>(), name: std::any::type_name::<F>() }
    }
}

/// Arguments that could not be written as bytes, and why.
#[derive(Debug)]
pub struct EncodeError(pub(crate) String);

/// Bytes that are not what they should be, and why.
#[derive(Debug)]
pub struct DecodeError(pub(crate) String);
