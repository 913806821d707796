//! `Subject`: an executor to be tested, and what it can do.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use manyhands::Executor;

use crate::behaviour::Need;

/// An executor to be tested: how one is made, and what it can do.
///
/// It must accept 16 pending tasks. Each behaviour is tested on an executor of its own.
///
/// ```
/// use manyhands::{InlineExecutor, ThreadPoolExecutor};
/// use manyhands_conform::Subject;
///
/// let inline = Subject::inline(InlineExecutor::new);
/// let pool = Subject::pool(2, || ThreadPoolExecutor::new(2).unwrap());
/// ```
#[derive(Clone)]
pub struct Subject {
    make: Make,
    runs: Runs,
    functions_only: bool,
    make_breaking: Option<MakeBreaking>,
    nested_waits: bool,
    pub(crate) patience: Duration,
}

type Make = Arc<dyn Fn() -> Arc<dyn Executor> + Send + Sync>;
pub(crate) type Break = Box<dyn FnOnce()>;
type MakeBreaking = Arc<dyn Fn() -> (Arc<dyn Executor>, Break) + Send + Sync>;

/// Where tasks run.
#[derive(Clone, Copy, Debug)]
enum Runs {
    InCaller,
    Elsewhere { at_once: Option<usize> },
}

impl Subject {
    /// An executor that runs each task in the thread that submits it.
    pub fn inline<X: Executor + 'static>(make: impl Fn() -> X + Send + Sync + 'static) -> Self {
        // What a task waits for, it has run before.
        Self::new(Runs::InCaller, make).nested_waits()
    }

    /// An executor that runs as many tasks at once as it has `workers`, elsewhere than in the thread that
    /// submits them, and lets others wait.
    pub fn pool<X: Executor + 'static>(
        workers: usize,
        make: impl Fn() -> X + Send + Sync + 'static,
    ) -> Self {
        Self::new(Runs::Elsewhere { at_once: Some(workers) }, make)
    }

    /// An executor that runs any number of tasks at once, elsewhere than in the thread that submits them.
    /// What needs a task that waits its turn is not tested.
    pub fn unlimited<X: Executor + 'static>(make: impl Fn() -> X + Send + Sync + 'static) -> Self {
        Self::new(Runs::Elsewhere { at_once: None }, make)
    }

    fn new<X: Executor + 'static>(
        runs: Runs,
        make: impl Fn() -> X + Send + Sync + 'static,
    ) -> Self {
        Self {
            make: Arc::new(move || Arc::new(make())),
            runs,
            functions_only: false,
            make_breaking: None,
            nested_waits: false,
            patience: Duration::from_secs(30),
        }
    }

    /// It runs functions that were declared, and refuses closures.
    pub fn functions_only(mut self) -> Self {
        self.functions_only = true;
        self
    }

    /// It can break. `make` gives one, with as many workers, and what breaks it when it is called; it may
    /// begin no task before that, or as many as it has workers.
    ///
    /// ```
    /// use manyhands::ThreadPoolExecutor;
    /// use manyhands_conform::Subject;
    /// use std::sync::{Arc, Mutex, mpsc};
    ///
    /// let subject = Subject::pool(1, || ThreadPoolExecutor::new(1).unwrap()).breaks(|| {
    ///     let (fail, failing) = mpsc::channel::<()>();
    ///     let failing = Arc::new(Mutex::new(failing));
    ///     let initializer = move || {
    ///         let _ = failing.lock().unwrap().recv();
    ///         Err("planned")
    ///     };
    ///     let pool = ThreadPoolExecutor::builder().max_workers(1).try_initializer(initializer, ());
    ///     (pool.build().unwrap(), move || drop(fail))
    /// });
    /// ```
    pub fn breaks<X: Executor + 'static, B: FnOnce() + 'static>(
        mut self,
        make: impl Fn() -> (X, B) + Send + Sync + 'static,
    ) -> Self {
        self.make_breaking = Some(Arc::new(move || {
            let (executor, breaks) = make();
            (Arc::new(executor), Box::new(breaks))
        }));
        self
    }

    /// Its tasks may wait for each other, whatever the number of its workers.
    pub fn nested_waits(mut self) -> Self {
        self.nested_waits = true;
        self
    }

    /// How long to wait for what must come: 30 seconds, unless this says otherwise.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) fn make(&self) -> Arc<dyn Executor> {
        (self.make)()
    }

    pub(crate) fn make_breaking(&self) -> (Arc<dyn Executor>, Break) {
        (self.make_breaking.as_ref().expect("it was looked at before"))()
    }

    /// How many tasks run at once: those that the suite has to hold so that others wait.
    pub(crate) fn workers(&self) -> u64 {
        match self.runs {
            Runs::InCaller | Runs::Elsewhere { at_once: None } => 1,
            Runs::Elsewhere { at_once: Some(workers) } => workers as u64,
        }
    }

    /// Whether it has what a behaviour is about.
    pub(crate) fn meets(&self, need: Need) -> bool {
        match need {
            Need::InCaller => matches!(self.runs, Runs::InCaller),
            Need::Elsewhere => matches!(self.runs, Runs::Elsewhere { .. }),
            Need::Queue => matches!(self.runs, Runs::Elsewhere { at_once: Some(_) }),
            Need::Closures => !self.functions_only,
            Need::FunctionsOnly => self.functions_only,
            Need::Breaks => self.make_breaking.is_some(),
            Need::NestedWaits => self.nested_waits,
        }
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject")
            .field("runs", &self.runs)
            .field("functions_only", &self.functions_only)
            .field("breaks", &self.make_breaking.is_some())
            .field("nested_waits", &self.nested_waits)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}
