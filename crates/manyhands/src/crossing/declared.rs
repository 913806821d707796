//! Declared functions: those that a worker process can be asked to call.

use std::any::{Any, TypeId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, DefaultHasher, Hash, Hasher};
use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{DecodeError, EncodeError, FunctionType};
use crate::function::Function;
use crate::panic;

/// The functions that worker processes can be asked to call; made by [`tasks!`](crate::tasks).
///
/// ```
/// use manyhands::tasks;
///
/// fn is_even(n: u64) -> bool {
///     n % 2 == 0
/// }
///
/// let tasks = tasks![is_even, u64::pow];
/// assert_eq!(tasks.names().count(), 2);
/// ```
#[derive(Default)]
#[must_use = "tasks are declared by `process::init`"]
pub struct Tasks(Vec<Box<dyn Declared>>);

impl Tasks {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a function. Its arguments and what it returns must be serialisable: they cross to the
    /// worker and back as bytes.
    ///
    /// ```
    /// use manyhands::process::Tasks;
    ///
    /// let tasks = Tasks::new().with(u64::pow);
    /// assert!(tasks.names().next().is_some_and(|name| name.ends_with("pow")));
    /// ```
    pub fn with<F, A>(mut self, function: F) -> Self
    where
        F: Function<A> + Copy + Send + Sync + 'static,
        A: Serialize + DeserializeOwned + 'static,
        F::Output: Serialize + DeserializeOwned + 'static,
    {
        self.0.push(Box::new(Of { function, id: id::<F, A>(), arguments: PhantomData }));
        self
    }

    /// The functions' names, with their paths.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.0.iter().map(|declared| declared.name())
    }
}

impl fmt::Debug for Tasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// Lists functions that worker processes can be asked to call, for
/// [`process::init`](crate::process::init). Those of generic functions need their types:
/// `tasks![sum::<u64>]`.
///
/// What cannot cross to another process does not compile here:
///
/// ```compile_fail
/// fn length(text: &str) -> usize { // a borrow cannot cross: take a `String`
///     text.len()
/// }
/// let tasks = manyhands::tasks![length];
/// ```
#[macro_export]
macro_rules! tasks {
    ($($function:expr),* $(,)?) => {
        $crate::process::Tasks::new()$(.with($function))*
    };
}

/// One declared function, whatever its types.
///
/// There is no need to implement it.
pub trait Declared: Send + Sync {
    /// The function.
    #[doc(hidden)]
    fn function(&self) -> FunctionType;

    /// Its name, with its path.
    #[doc(hidden)]
    fn name(&self) -> &'static str;

    /// What tells this function, its arguments and its output from all others, in every run of this
    /// program.
    #[doc(hidden)]
    fn id(&self) -> u64;

    /// Whether its arguments may own something that goes beside their bytes: memory, or a future. What needs no
    /// drop owns nothing.
    #[doc(hidden)]
    fn takes_owners(&self) -> bool;

    /// Writes arguments: an `Option` of the tuple, which it empties.
    #[doc(hidden)]
    fn pack(&self, arguments: &mut dyn Any, into: &mut Vec<u8>) -> Result<(), EncodeError>;

    /// Calls the function with the arguments at the front of `from`, and writes what it returns.
    #[doc(hidden)]
    fn run(&self, from: &mut &[u8], into: &mut Vec<u8>) -> Result<(), NotRun>;

    /// Reads what the function returned, into an `Option` of it.
    #[doc(hidden)]
    fn unpack(&self, from: &mut &[u8], output: &mut dyn Any) -> Result<(), DecodeError>;

    /// A short form of the arguments at the front of `from`, for people.
    #[doc(hidden)]
    fn show(&self, from: &[u8]) -> String;
}

/// Why a worker could not run a task, or could not send what it returned.
#[derive(Debug)]
pub enum NotRun {
    /// The arguments could not be read.
    Arguments(DecodeError),
    /// The result could not be written.
    Result(EncodeError),
}

struct Of<F, A> {
    function: F,
    id: u64,
    arguments: PhantomData<fn() -> A>,
}

fn id<F: Function<A, Output: 'static> + 'static, A: 'static>() -> u64 {
    let mut hasher = DefaultHasher::new();
    (TypeId::of::<F>(), TypeId::of::<A>(), TypeId::of::<F::Output>()).hash(&mut hasher);
    std::any::type_name::<F>().hash(&mut hasher);
    hasher.finish()
}

impl<F, A> Declared for Of<F, A>
where
    F: Function<A> + Copy + Send + Sync + 'static,
    A: Serialize + DeserializeOwned + 'static,
    F::Output: Serialize + DeserializeOwned + 'static,
{
    fn function(&self) -> FunctionType {
        FunctionType::of::<F>()
    }

    fn name(&self) -> &'static str {
        std::any::type_name::<F>()
    }

    fn id(&self) -> u64 {
        self.id
    }

    fn takes_owners(&self) -> bool {
        std::mem::needs_drop::<A>()
    }

    fn pack(&self, arguments: &mut dyn Any, into: &mut Vec<u8>) -> Result<(), EncodeError> {
        let arguments = arguments
            .downcast_mut::<Option<A>>()
            .and_then(Option::take)
            .ok_or_else(|| EncodeError("they are of other types than declared".to_owned()))?;
        encode(&arguments, into)
    }

    fn run(&self, from: &mut &[u8], into: &mut Vec<u8>) -> Result<(), NotRun> {
        let arguments = decode(from).map_err(NotRun::Arguments)?;
        encode(&self.function.call(arguments), into).map_err(NotRun::Result)
    }

    fn unpack(&self, from: &mut &[u8], output: &mut dyn Any) -> Result<(), DecodeError> {
        let output = output
            .downcast_mut::<Option<F::Output>>()
            .ok_or_else(|| DecodeError("it is of another type than declared".to_owned()))?;
        *output = Some(decode(from)?);
        Ok(())
    }

    fn show(&self, mut from: &[u8]) -> String {
        const MOST_BYTES: usize = 64 << 10;
        if from.len() > MOST_BYTES {
            return format!("({} bytes of arguments)", from.len());
        }
        // Reading and writing a value runs code of the program's.
        let shown = panic::catch(|| decode::<A>(&mut from).map(|arguments| short(&arguments)));
        match shown {
            Ok(Ok(shown)) => shown,
            Ok(Err(_)) | Err(_) => "(arguments that cannot be read)".to_owned(),
        }
    }
}

/// The beginning of what `{:?}` would print.
fn short(value: &impl Serialize) -> String {
    use fmt::Write;
    const MOST_CHARS: usize = 120;

    struct Short {
        text: String,
        left: usize,
    }

    impl Write for Short {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            self.text.extend(text.chars().take(self.left));
            self.left = self.left.saturating_sub(text.chars().count());
            if self.left == 0 { Err(fmt::Error) } else { Ok(()) }
        }
    }

    let mut short = Short { text: String::new(), left: MOST_CHARS };
    if write!(short, "{:?}", serde_fmt::to_debug(value)).is_err() {
        short.text.push('…');
    }
    short.text
}

thread_local! {
    static CROSSING: Cell<bool> = const { Cell::new(false) };
    /// Why what is written or read cannot be: the codec's errors have no room for it.
    static REASON: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// An error of a value that cannot be written or read, for this reason.
pub(crate) fn because<E: serde::ser::Error>(why: String) -> E {
    let error = E::custom(&why);
    REASON.set(Some(why));
    error
}

/// The same of one that is read.
pub(crate) fn unread_because<E: serde::de::Error>(why: String) -> E {
    let error = E::custom(&why);
    REASON.set(Some(why));
    error
}

fn reason(error: &postcard::Error) -> String {
    REASON.take().unwrap_or_else(|| error.to_string())
}

/// Whether what this thread serialises or deserialises at this moment is on its way to or from
/// another process.
pub(crate) fn is_crossing() -> bool {
    CROSSING.get()
}

/// And then as it was before: a value may submit a task while it is written itself.
struct CrossesUntilDropped(bool);

fn crosses() -> CrossesUntilDropped {
    CrossesUntilDropped(CROSSING.replace(true))
}

impl Drop for CrossesUntilDropped {
    fn drop(&mut self) {
        CROSSING.set(self.0);
    }
}

pub(crate) fn encode<T: Serialize>(value: &T, into: &mut Vec<u8>) -> Result<(), EncodeError> {
    let _crosses = crosses();
    let start = into.len();
    REASON.take();
    postcard::serialize_with_flavor(value, Into(into)).map_err(|error| {
        into.truncate(start);
        EncodeError(reason(&error))
    })
}

pub(crate) fn decode<T: DeserializeOwned>(from: &mut &[u8]) -> Result<T, DecodeError> {
    let _crosses = crosses();
    REASON.take();
    let (value, rest) =
        postcard::take_from_bytes(from).map_err(|error| DecodeError(reason(&error)))?;
    *from = rest;
    Ok(value)
}

/// Has postcard write into a buffer that is there, long slices at once.
struct Into<'a>(&'a mut Vec<u8>);

/// As long as a number may be in postcard's form. It comes in single bytes, and to copy it as a whole right after that
/// would stall the processor.
const NUMBER: usize = 10;

impl postcard::ser_flavors::Flavor for Into<'_> {
    type Output = ();

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        if bytes.len() <= NUMBER {
            for &byte in bytes {
                self.0.push(byte);
            }
        } else {
            self.0.extend_from_slice(bytes);
        }
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// The declared functions of a process, found by their types and by what they are called in frames.
#[derive(Clone, Default)]
pub(crate) struct Registry {
    by_type: HashMap<TypeId, &'static dyn Declared, BuildHasherDefault<Spread>>,
    by_id: HashMap<u64, &'static dyn Declared, BuildHasherDefault<Spread>>,
}

impl Registry {
    /// What is declared stays so for the life of the program: tasks refer to it without counting.
    pub(crate) fn add(&mut self, tasks: Tasks) {
        for declared in tasks.0 {
            if self.of_type(declared.function()).is_none() {
                let declared: &'static dyn Declared = Box::leak(declared);
                self.by_type.insert(declared.function().id, declared);
                self.by_id.insert(declared.id(), declared);
            }
        }
    }

    pub(crate) fn of_type(&self, function: FunctionType) -> Option<&'static dyn Declared> {
        self.by_type.get(&function.id).copied()
    }

    pub(crate) fn of_id(&self, id: u64) -> Option<&'static dyn Declared> {
        self.by_id.get(&id).copied()
    }

    /// What two runs of the same program agree on, and two programs do not.
    pub(crate) fn build_id(&self) -> u64 {
        let mut ids: Vec<u64> = self.by_id.keys().copied().collect();
        ids.sort_unstable();
        let mut hasher = DefaultHasher::new();
        (env!("CARGO_PKG_VERSION"), ids).hash(&mut hasher);
        hasher.finish()
    }
}

/// For keys that are hashes already.
#[derive(Default)]
struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 ^= word;
    }
}
