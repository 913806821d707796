//! The options of a pool of processes.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ProcessPoolExecutor;
use super::birth;
use super::launch::{self, ProcessLauncher};
use super::link::ring;
use super::manager;
use super::pool::{ManagedBy, Pool};
use super::program;
use super::supervisor::{self, OnCrash};
use crate::crossing::{Body, FunctionType};
use crate::errors::ConfigError;
use crate::function::Function;

/// How long a worker may take to obey, unless the builder says otherwise.
const GRACE: Duration = Duration::from_millis(200);

/// So many more workers than `max_workers` there may be, in the stead of those whose tasks wait.
const MOST_EXTRA: u32 = 61;

/// So many workers that die at birth, one after the other, break the pool.
const BIRTHS: NonZeroU32 = NonZeroU32::new(3).unwrap();

/// The options of a [`ProcessPoolExecutor`]; made by [`ProcessPoolExecutor::builder`].
#[must_use = "a builder makes nothing until `build`"]
pub struct ProcessPoolBuilder {
    max_workers: usize,
    max_tasks_per_child: Option<usize>,
    on_crash: OnCrash,
    retries: u32,
    grace: Duration,
    transport: Transport,
    initializer: Option<Initializer>,
    setting: Setting,
}

/// How the parent and its workers talk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Rings in shared memory where there is memfd and futex (Linux), sockets elsewhere.
    #[default]
    Automatic,
    /// Unix sockets: for sandboxes that forbid the other.
    Socket,
}

/// Where a worker comes to life.
#[derive(Clone, Debug, Default)]
pub(super) struct Setting {
    /// Set, or with `None` removed.
    pub(super) environment: Vec<(OsString, Option<OsString>)>,
    pub(super) directory: Option<PathBuf>,
    pub(super) stdout: Output,
    pub(super) stderr: Output,
}

/// Where a worker's standard output or standard error goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Output {
    /// To where the parent's goes.
    #[default]
    Inherit,
    /// Nowhere.
    Null,
}

impl From<Output> for launch::Output {
    fn from(output: Output) -> Self {
        match output {
            Output::Inherit => Self::Inherit,
            Output::Null => Self::Null,
        }
    }
}

type Encode = Box<dyn FnOnce(&crate::crossing::Registry) -> Result<Vec<u8>, ConfigError>>;

struct Initializer(Encode);

impl ProcessPoolBuilder {
    pub(super) fn new() -> Self {
        Self {
            max_workers: std::thread::available_parallelism().map_or(1, usize::from),
            max_tasks_per_child: None,
            on_crash: OnCrash::Isolate,
            retries: 0,
            grace: GRACE,
            transport: Transport::default(),
            initializer: None,
            setting: Setting::default(),
        }
    }

    /// The most worker processes that work at one time. Default: the CPUs this process may use, as in
    /// CPython 3.13. In the stead of one whose task waits for another task of this pool another may be
    /// started, up to 61 more.
    pub fn max_workers(mut self, max_workers: usize) -> Self {
        self.max_workers = max_workers;
        self
    }

    /// A worker leaves after so many tasks, and another takes its place. Default: none does.
    pub fn max_tasks_per_child(mut self, tasks: usize) -> Self {
        self.max_tasks_per_child = Some(tasks);
        self
    }

    /// What the death of one worker means to the others' tasks. Default: nothing
    /// ([`OnCrash::Isolate`]).
    pub fn on_crash(mut self, on_crash: OnCrash) -> Self {
        self.on_crash = on_crash;
        self
    }

    /// How often a task is run again when the worker that ran it has died. Default: never, since what
    /// it had done until then is done.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// How long a worker that is to stop a task is given before each next step: it is asked (see
    /// [`stop_requested`](super::stop_requested)), then sent SIGTERM, then SIGKILL. Default: 200 ms.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How the parent and its workers talk. Default: the quickest way there is.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Called in each worker before its first task. The function must be declared like a task's. If it
    /// panics, the pool is broken: what is pending and whatever is submitted later fails with
    /// [`BrokenProcessPool`](crate::BrokenProcessPool), which says why.
    #[allow(
        clippy::needless_pass_by_value,
        reason = "as in `submit`; workers call it, by its name"
    )]
    pub fn initializer<F, A>(mut self, function: F, args: A) -> Self
    where
        F: Function<A> + 'static,
        A: Serialize + DeserializeOwned + 'static,
    {
        let _ = function;
        self.initializer = Some(Initializer(Box::new(move |registry| {
            let function = FunctionType::of::<F>();
            let declared = registry
                .of_type(function)
                .ok_or(ConfigError::InitializerNotDeclared { function: function.name })?;
            let mut body = Body::after(declared.id().to_le_bytes().to_vec());
            body.arguments(declared, args)
                .map_err(|_| ConfigError::InitializerArguments { function: function.name })?;
            Ok(body.bytes)
        })));
        self
    }

    /// Sets an environment variable for the workers.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        let value = Some(value.as_ref().to_owned());
        self.setting.environment.push((name.as_ref().to_owned(), value));
        self
    }

    /// Takes an environment variable from the workers.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.setting.environment.push((name.as_ref().to_owned(), None));
        self
    }

    /// The workers' working directory. Default: that of this process when a worker starts.
    pub fn current_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.setting.directory = Some(directory.into());
        self
    }

    /// Where the workers' standard output goes. Default: to where this process's goes.
    pub fn stdout(mut self, stdout: Output) -> Self {
        self.setting.stdout = stdout;
        self
    }

    /// Where the workers' standard error goes. Default: to where this process's goes.
    pub fn stderr(mut self, stderr: Output) -> Self {
        self.setting.stderr = stderr;
        self
    }

    /// Makes the pool. No process starts before the first task.
    ///
    /// # Errors
    /// [`ConfigError`] for options that cannot be, and if the program has not called
    /// [`init`](super::init).
    pub fn build(self) -> Result<ProcessPoolExecutor, ConfigError> {
        let program = program::declared().ok_or(ConfigError::NotInitialised)?;
        let most = |number: usize, zero| {
            NonZeroU32::new(u32::try_from(number).unwrap_or(u32::MAX)).ok_or(zero)
        };
        let max_workers = most(self.max_workers, ConfigError::NoWorkers)?;
        let max_tasks_per_child = match self.max_tasks_per_child {
            None => None,
            Some(tasks) => Some(most(tasks, ConfigError::NoTasksPerChild)?),
        };
        let initializer = match self.initializer {
            None => Vec::new(),
            Some(Initializer(encode)) => encode(&program.registry)?,
        };
        let Setting { environment, directory, stdout, stderr } = self.setting;
        let launcher = ProcessLauncher {
            quiet_birth: !program.arguments.is_empty(),
            args: program.arguments,
            env: environment,
            current_dir: directory,
            stdout: stdout.into(),
            stderr: stderr.into(),
            ..ProcessLauncher::default()
        };
        let (transport, capacity) = match self.transport {
            Transport::Automatic => (birth::Transport::SharedMemory, ring::CAPACITY),
            Transport::Socket => (birth::Transport::Socket, 1),
        };
        let setting =
            manager::Setting { build_id: program.registry.build_id(), initializer, transport };
        let options = supervisor::Options {
            max_workers,
            most_extra: MOST_EXTRA,
            capacity: NonZeroU32::new(capacity).unwrap_or(NonZeroU32::MIN),
            on_crash: self.on_crash,
            retries: self.retries,
            max_tasks_per_child,
            births: BIRTHS,
            grace: self.grace,
            spares_first: false,
        };
        let pool = Pool::new(options, setting, Box::new(launcher), ManagedBy::Pool)
            .map_err(|error| ConfigError::NoDoorbell { error: error.kind() })?;
        Ok(ProcessPoolExecutor::with_pool(pool, program.registry, self.max_workers))
    }
}

impl fmt::Debug for ProcessPoolBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessPoolBuilder")
            .field("max_workers", &self.max_workers)
            .field("setting", &self.setting)
            .finish_non_exhaustive()
    }
}
