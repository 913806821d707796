//! `Buffer`: many numbers, which cross between processes in shared memory.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use manyhands_shm::{
    Arena, Block, Number, Place, as_bytes, as_bytes_mut, as_numbers, as_numbers_mut,
};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::lending::{Borrowed, MOST_IN_FRAME, with_carrier};
use crate::crossing::is_crossing;

/// What is smaller goes into the frame: to copy it costs less than to account for it.
const SMALL: usize = 4 << 10;

/// Many numbers, as an argument or a result of a task that another process runs. A `Vec` crosses too,
/// but is copied into a frame and out of it, number by number; a buffer is written to shared memory
/// once, at most, and used there where it lies.
///
/// It is a slice that can be read and written. Each process has its own: what one writes into a buffer
/// that it was sent, no other sees. (A worker that writes into one that it was sent copies it first.)
///
/// ```
/// use manyhands::{Executor, ProcessPoolExecutor, process, tasks};
/// use manyhands::process::Buffer;
///
/// fn halve(mut numbers: Buffer<f64>) -> Buffer<f64> {
///     numbers.iter_mut().for_each(|number| *number /= 2.0);
///     numbers
/// }
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     process::init(tasks![halve]);
///     let pool = ProcessPoolExecutor::new(1)?;
///     let halves = pool.submit(halve, (Buffer::from(vec![3.0; 100_000]),))?.into_result(None)?;
///     assert!(halves.iter().all(|half| *half == 1.5));
///     Ok(())
/// }
/// ```
///
/// Outside of a pool of processes it is serialised as any list of numbers.
pub struct Buffer<T: Number>(Data<T>);

enum Data<T> {
    Own(Vec<T>),
    /// In the arena of this process.
    Here(Arc<Block>, PhantomData<T>),
    /// In the arena of another one.
    There(Borrowed, PhantomData<T>),
    /// So many, of which only the looks are wanted.
    Shown(usize),
}

impl<T: Number> Buffer<T> {
    /// So many times `value`: in a task that a worker process runs, in the memory from which they will be
    /// sent if the task returns them, so that they are never copied.
    pub fn filled(value: T, len: usize) -> Self {
        let bytes = len.saturating_mul(size_of::<T>());
        let block = with_carrier(|carrier| {
            carrier.arena.as_ref().filter(|_| bytes >= SMALL)?.allocate(bytes).ok()
        });
        Self(match block.flatten() {
            Some(mut block) => {
                if let Ok(numbers) = as_numbers_mut::<T>(&mut block) {
                    numbers.fill(value); // As it always is: blocks are aligned for all numbers.
                }
                Data::Here(Arc::new(block), PhantomData)
            }
            None => Data::Own(vec![value; len]),
        })
    }

    /// A copy of `numbers`, in the arena from which they will be sent.
    pub(super) fn copied(numbers: &[T], arena: Option<&Arena>) -> Self {
        let bytes = as_bytes(numbers);
        let arena = arena.filter(|_| bytes.len() >= SMALL);
        Self(match arena.and_then(|arena| arena.allocate(bytes.len()).ok()) {
            Some(mut block) => {
                block.copy_from_slice(bytes);
                Data::Here(Arc::new(block), PhantomData)
            }
            None => Data::Own(numbers.to_vec()),
        })
    }

    /// The numbers in memory that is only this process's: copied, if they are not.
    pub fn into_vec(self) -> Vec<T> {
        match self.0 {
            Data::Own(numbers) => numbers,
            _ => self.to_vec(),
        }
    }

    /// Puts it into an arena, if it does not lie there; also if it does and is lent already, where a
    /// block is lent once at a time.
    fn lend(&self, arena: &Arena, once: bool) -> Result<Arc<Block>, String> {
        if let Data::Here(block, _) = &self.0
            && arena.holds(block)
            && !(once && Arc::strong_count(block) > 1)
        {
            return Ok(Arc::clone(block));
        }
        let bytes = as_bytes(self);
        let mut block = arena.allocate(bytes.len()).map_err(|error| error.to_string())?;
        block.copy_from_slice(bytes);
        Ok(Arc::new(block))
    }
}

impl<T: Number> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        let bytes: &[u8] = match &self.0 {
            Data::Own(numbers) => return numbers,
            Data::Here(block, _) => block,
            Data::There(borrowed, _) => borrowed.bytes(),
            Data::Shown(_) => &[],
        };
        as_numbers(bytes).expect("blocks are aligned for all numbers and as long as they were")
    }
}

impl<T: Number> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        let writable = match &mut self.0 {
            Data::Own(_) => true,
            Data::Here(block, _) => Arc::get_mut(block).is_some(),
            Data::There(borrowed, _) => borrowed.bytes_mut().is_some(),
            Data::Shown(_) => false,
        };
        if !writable {
            self.0 = Data::Own(self.to_vec());
        }
        let bytes = match &mut self.0 {
            Data::Own(numbers) => return numbers,
            Data::Here(block, _) => Arc::get_mut(block).map(|block| &mut **block),
            Data::There(borrowed, _) => borrowed.bytes_mut(),
            Data::Shown(_) => None,
        };
        as_numbers_mut(bytes.unwrap_or_default()).expect("as in `deref`")
    }
}

impl<T: Number> From<Vec<T>> for Buffer<T> {
    fn from(numbers: Vec<T>) -> Self {
        Self(Data::Own(numbers))
    }
}

impl<T: Number> From<&[T]> for Buffer<T> {
    fn from(numbers: &[T]) -> Self {
        Self(Data::Own(numbers.to_vec()))
    }
}

impl<T: Number> FromIterator<T> for Buffer<T> {
    fn from_iter<I: IntoIterator<Item = T>>(numbers: I) -> Self {
        Self(Data::Own(Vec::from_iter(numbers)))
    }
}

impl<T: Number> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self(Data::Own(self.to_vec()))
    }
}

impl<T: Number> Default for Buffer<T> {
    fn default() -> Self {
        Self(Data::Own(Vec::new()))
    }
}

impl<T: Number + PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: Number + Eq> Eq for Buffer<T> {}

impl<T: Number + fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// On its way between processes: small ones as bytes, others as the place where they lie.
#[derive(Serialize, Deserialize)]
enum Wire<'a> {
    Bytes(#[serde(borrow, with = "bytes")] std::borrow::Cow<'a, [u8]>),
    Place { offset: u64, len: u64 },
}

impl<T: Number + Serialize> Serialize for Buffer<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Data::Shown(len) = &self.0 {
            let shown = format_args!("[{}; {len}]", std::any::type_name::<T>());
            return serializer.collect_str(&shown);
        }
        if !is_crossing() || serializer.is_human_readable() {
            return serializer.collect_seq(self.iter());
        }
        let bytes = as_bytes(self);
        let lent = with_carrier(|carrier| {
            // More than that go with the bytes around them, as one block.
            let is_block = bytes.len() >= SMALL && carrier.lent.len() < MOST_IN_FRAME;
            let arena = carrier.arena.as_ref().filter(|_| is_block)?;
            // A parent may write into what a worker sends, so it has one view of a block at most.
            let once = carrier.source.is_some();
            Some(self.lend(arena, once).map(|block| {
                let Place { offset, len } = block.place();
                carrier.lent.push(block);
                Wire::Place { offset, len }
            }))
        });
        let wire = lent.flatten().unwrap_or(Ok(Wire::Bytes(bytes.into())));
        wire.map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de, T: Number + Deserialize<'de>> Deserialize<'de> for Buffer<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !is_crossing() || deserializer.is_human_readable() {
            return deserializer.deserialize_seq(Numbers(PhantomData));
        }
        let (offset, len) = match Wire::deserialize(deserializer)? {
            Wire::Place { offset, len } => (offset, len),
            Wire::Bytes(bytes) => return own(&bytes).map_err(D::Error::custom),
        };
        let data = with_carrier(|carrier| {
            if carrier.for_show {
                let numbers = usize::try_from(len).unwrap_or(usize::MAX) / size_of::<T>();
                return Ok(Data::Shown(numbers));
            }
            let borrowed = carrier.view(Place { offset, len })?;
            as_numbers::<T>(borrowed.bytes()).map_err(|error| error.to_string())?;
            Ok(Data::There(borrowed, PhantomData))
        });
        match data {
            Some(Ok(data)) => Ok(Self(data)),
            Some(Err(why)) => Err(D::Error::custom::<String>(why)),
            None => Err(D::Error::custom("there is no shared memory")),
        }
    }
}

fn own<T: Number>(bytes: &[u8]) -> Result<Buffer<T>, &'static str> {
    if !bytes.len().is_multiple_of(size_of::<T>()) {
        return Err("the bytes are no whole numbers");
    }
    let mut numbers = vec![T::default(); bytes.len() / size_of::<T>()];
    as_bytes_mut(&mut numbers).copy_from_slice(bytes);
    Ok(Buffer::from(numbers))
}

struct Numbers<T>(PhantomData<T>);

impl<'de, T: Number + Deserialize<'de>> Visitor<'de> for Numbers<T> {
    type Value = Buffer<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of numbers")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Buffer<T>, A::Error> {
        let mut numbers = Vec::new();
        while let Some(number) = list.next_element()? {
            numbers.push(number);
        }
        Ok(Buffer::from(numbers))
    }
}

/// Bytes as bytes, not as a list of numbers.
mod bytes {
    use std::borrow::Cow;
    use std::fmt;

    use serde::de::{Deserializer, Error, Visitor};
    use serde::ser::Serializer;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Cow<'de, [u8]>, D::Error> {
        deserializer.deserialize_bytes(Bytes)
    }

    struct Bytes;

    impl<'de> Visitor<'de> for Bytes {
        type Value = Cow<'de, [u8]>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("bytes")
        }

        fn visit_borrowed_bytes<E: Error>(self, bytes: &'de [u8]) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(bytes))
        }

        fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Self::Value, E> {
            Ok(Cow::Owned(bytes.to_vec()))
        }
    }
}
