//! How a task gets into a pool of worker processes. The Python class in `python/manyhands/process.py`
//! looks at the options and starts the threads and processes.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use manyhands::process::OnCrash;
use manyhands::process::birth::Transport;
use manyhands::process::host::{Kind, ManagedBy, Pool, Reason, Request, Setting};
use manyhands::process::link::ring;
use manyhands::process::supervisor::{Event, Options, Rules, Seat};
use pyo3::exceptions::{PyException, PyMemoryError, PyRuntimeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple};

use super::BUILD;
use super::launch::{self, PythonLauncher};
use super::manager::PyManager;
use super::message::Packed;
use super::passed::Passing;
use super::pickle::{self, Room};
use super::shared::Shared;
use super::task::{Call, ProcessTask};
use crate::task::{Core, Task};
use crate::{errors, fork, future, park, stdlib, workers};

#[pyclass(subclass, frozen, module = "manyhands._core", name = "ProcessPoolExecutor")]
pub(crate) struct PyProcessPoolExecutor {
    /// Filled by `_open`, which `__init__` calls.
    opened: OnceLock<Opened>,
}

struct Opened {
    pool: Arc<Pool<ProcessTask>>,
    made_in: u32,
    spawner: Py<PyAny>,
    pickler: Py<PyAny>,
    /// Of tasks that have none of their own.
    timeout: Option<Duration>,
    /// What errors are to tell of tasks is kept.
    keeps_calls: bool,
    /// All workers are started with the first task.
    fills: bool,
    started: AtomicBool,
    /// Whether the program has shut it down, and not only the end of the interpreter.
    shut_down: AtomicBool,
}

impl PyProcessPoolExecutor {
    fn opened(&self) -> PyResult<&Opened> {
        self.opened.get().ok_or_else(|| {
            PyRuntimeError::new_err("ProcessPoolExecutor.__init__ has not been called")
        })
    }
}

#[pymethods]
impl PyProcessPoolExecutor {
    /// Takes any arguments, as those of a subclass come by here too.
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyDict>>) -> Self {
        Self { opened: OnceLock::new() }
    }

    /// What `__init__` calls when it has looked at the options.
    #[allow(clippy::too_many_arguments, reason = "the options of a pool, from Python")]
    fn _open(
        &self,
        py: Python<'_>,
        max_workers: NonZeroU32,
        max_tasks_per_child: Option<NonZeroU32>,
        isolates: bool,
        retries: u32,
        grace: f64,
        fills: bool,
        spawner: Py<PyAny>,
        pickler: Py<PyAny>,
        timeout: Option<f64>,
    ) -> PyResult<()> {
        let grace = Duration::try_from_secs_f64(grace)
            .map_err(|_| PyValueError::new_err("grace must be a number of seconds, >= 0"))?;
        let options = Options {
            max_workers,
            most_extra: MOST_EXTRA,
            capacity: NonZeroU32::new(ring::CAPACITY).unwrap_or(NonZeroU32::MIN),
            on_crash: if isolates { OnCrash::Isolate } else { OnCrash::Break },
            retries,
            max_tasks_per_child,
            births: if isolates { BIRTHS } else { NonZeroU32::MIN },
            grace,
            spares_first: true,
        };
        let setting = Setting {
            build_id: BUILD,
            initializer: Vec::new(),
            transport: Transport::SharedMemory,
        };
        let launcher = Box::new(PythonLauncher { spawner: spawner.clone_ref(py) });
        let pool = Pool::new(options, setting, launcher, ManagedBy::Host)?;
        pool.know();
        let opened = Opened {
            pool,
            made_in: fork::generation(),
            spawner,
            pickler,
            timeout: park::limit(timeout),
            keeps_calls: isolates,
            fills,
            started: AtomicBool::new(false),
            shut_down: AtomicBool::new(false),
        };
        self.opened.set(opened).map_err(|_| {
            PyRuntimeError::new_err("ProcessPoolExecutor.__init__ has been called before")
        })
    }

    /// Schedule `fn(*args, **kwargs)` in a worker process and return its Future.
    ///
    /// >>> from manyhands import ProcessPoolExecutor
    /// >>> with ProcessPoolExecutor(max_workers=1) as executor:
    /// ...     print(executor.submit(pow, 2, 10).result())
    /// 1024
    #[pyo3(signature = (r#fn, /, *args, **kwargs))]
    fn submit<'py>(
        slf: &Bound<'py, Self>,
        r#fn: Py<PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        submit(slf, Rules::default(), r#fn, args, kwargs)
    }

    /// `submit` with rules for this task.
    #[pyo3(signature = (timeout, retries, r#fn, args, kwargs))]
    fn _submit<'py>(
        slf: &Bound<'py, Self>,
        timeout: Option<f64>,
        retries: Option<u32>,
        r#fn: Py<PyAny>,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        submit(slf, Rules { timeout: park::limit(timeout), retries }, r#fn, args, kwargs)
    }

    /// Put `obj` into shared memory once, for any number of tasks of this pool: pass the handle that is
    /// returned as an argument, or as part of one, and the task gets the object. Arrays in it are views
    /// of that memory, which can only be read. It is freed when the handle and the last view are gone.
    ///
    /// >>> from manyhands import ProcessPoolExecutor
    /// >>> with ProcessPoolExecutor(max_workers=1) as executor:
    /// ...     table = executor.shared({n: n * n for n in range(1000)})
    /// ...     executor.submit(dict.get, table, 30).result()
    /// 900
    fn shared(&self, py: Python<'_>, obj: &Bound<'_, PyAny>) -> PyResult<Shared> {
        let opened = self.opened()?;
        fork::check(opened.made_in, "this ProcessPoolExecutor")?;
        Shared::new(obj, opened.pickler.bind(py), opened.pool.arena())
    }

    /// Whether it is being pickled as part of a task of its own pool.
    fn _is_being_sent(&self) -> PyResult<bool> {
        Ok(super::shared::is_packed_for(self.opened()?.pool.number()))
    }

    /// What manages it, for the thread that does so. It does not hold the executor.
    fn _manager(&self) -> PyResult<PyManager> {
        Ok(PyManager { pool: Arc::clone(&self.opened()?.pool) })
    }

    /// Accept nothing any more; with `cancel_futures`, cancel what has not started.
    #[pyo3(name = "_close")]
    fn close(&self, py: Python<'_>, cancel_futures: bool) -> PyResult<()> {
        let opened = self.opened()?;
        opened.shut_down.store(true, Ordering::Release);
        py.detach(|| opened.pool.close(cancel_futures));
        Ok(())
    }

    /// End all workers, by a signal that they can handle or by one that they cannot.
    fn _end_workers(&self, py: Python<'_>, kill: bool) -> PyResult<()> {
        let opened = self.opened()?;
        opened.shut_down.store(true, Ordering::Release);
        py.detach(|| opened.pool.tell(if kill { Event::Kill } else { Event::Terminate }));
        Ok(())
    }

    /// (workers, starting, idle, pending, running, completed, crashed, restarted)
    #[allow(clippy::type_complexity, reason = "what a named tuple is made of")]
    fn _stats(&self) -> PyResult<(usize, usize, usize, usize, usize, u64, u64, u64)> {
        let it = self.opened()?.pool.stats();
        Ok((
            it.workers,
            it.starting,
            it.idle,
            it.pending,
            it.running,
            it.completed,
            it.crashed,
            it.restarted,
        ))
    }

    /// False, or why the pool is broken.
    #[getter]
    fn _broken(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self.opened()?.pool.broken() {
            Some(reason) => reason.as_str().into_pyobject(py)?.into_any().unbind(),
            None => false.into_pyobject(py)?.to_owned().into_any().unbind(),
        })
    }

    #[getter]
    fn _shutdown_thread(&self) -> PyResult<bool> {
        Ok(self.opened()?.shut_down.load(Ordering::Acquire))
    }

    #[getter]
    fn _is_from_before_fork(&self) -> PyResult<bool> {
        Ok(self.opened()?.made_in != fork::generation())
    }
}

/// So many more workers than `max_workers` there may be, in the stead of those whose tasks wait.
const MOST_EXTRA: u32 = 61;

/// So many workers in a row that die at birth break a pool that a single death does not break.
const BIRTHS: NonZeroU32 = NonZeroU32::new(3).unwrap();

fn submit<'py>(
    executor: &Bound<'py, PyProcessPoolExecutor>,
    rules: Rules,
    function: Py<PyAny>,
    args: &Bound<'py, PyTuple>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = executor.py();
    let opened = executor.get().opened()?;
    fork::check(opened.made_in, "this ProcessPoolExecutor")?;
    let rules = Rules { timeout: rules.timeout.or(opened.timeout), ..rules };
    let pool = &opened.pool;
    if workers::at_exit() && !opened.shut_down.load(Ordering::Acquire) {
        return Err(errors::after_interpreter_shutdown());
    }
    let reservation = pool.reserve().map_err(|reason| refused(py, &reason))?;
    if !opened.started.load(Ordering::Acquire) {
        let filled = if opened.fills { start(py, opened, pool.fill(u32::MAX)) } else { Ok(()) };
        // Also if that has failed: somebody must see to those that were started.
        let managed = executor.call_method0(intern!(py, "_start_executor_manager_thread"));
        if let Err(error) = managed {
            // Ctrl-C, say: nobody else knows of them.
            py.detach(|| pool.abandon());
            return Err(error);
        }
        opened.started.store(true, Ordering::Release);
        filled?;
    }
    let task = Task {
        function,
        args: args.clone().unbind(),
        kwargs: kwargs.map(|it| it.clone().unbind()),
    };
    let core = Arc::new(Core::new(Some(task), opened.made_in));
    let future = future::make(py, Arc::clone(&core))?;
    let Some(task) = core.life.send_away(Some(pool.number())) else { return Ok(future) };
    let request = match request(py, opened, &task) {
        Ok(request) => request,
        // Ctrl-C, or what a handler of another signal has raised: for the submitter.
        Err(error) if !error.is_instance_of::<PyException>(py) => return Err(error),
        Err(error) => {
            drop(reservation);
            // The standard library starts a worker before it learns of this.
            start(py, opened, pool.fill(1))?;
            drop(core.life.finish(Err(error.into_value(py).into_any()), |_| ()));
            return Ok(future);
        }
    };
    let call = if opened.keeps_calls || rules.timeout.is_some() {
        Some(Box::new(call(py, task)?))
    } else {
        drop(task);
        None
    };
    let seats = reservation.submit(ProcessTask::new(core, call), request, rules);
    if !seats.is_empty()
        && let Err(error) = start(py, opened, seats)
    {
        future.call_method0(intern!(py, "cancel"))?;
        return Err(error);
    }
    Ok(future)
}

fn request(py: Python<'_>, opened: &Opened, task: &Task) -> PyResult<Request> {
    let arena = opened.pool.arena();
    let room = Room::Of(arena.cloned(), Some(opened.pool.number()));
    let mut packed = pack(py, task, opened.pickler.bind(py), room)?;
    let passes = std::mem::take(&mut packed.passes);
    let mut body = Vec::new();
    packed.write("", &mut body);
    let lent = packed.into_blocks().collect();
    let mut request = Request::new(0, Kind::One, &mut body, lent, arena).map_err(|why| {
        PyMemoryError::new_err(format!("no shared memory for the arguments: {why}"))
    })?;
    let (pickler, to) = (opened.pickler.bind(py), opened.pool.number());
    let futures = passes.iter().map(|it| Passing::of(it.bind(py), pickler, to));
    request.pass(futures.collect::<PyResult<_>>()?);
    Ok(request)
}

/// A call as bytes, and what goes along.
pub(super) fn pack(
    py: Python<'_>,
    task: &Task,
    pickler: &Bound<'_, PyAny>,
    room: Room,
) -> PyResult<Packed> {
    let (function, args) = (task.function.bind(py), task.args.bind(py));
    let call = match &task.kwargs {
        None => (function, args).into_pyobject(py)?,
        Some(kwargs) => (function, args, kwargs.bind(py)).into_pyobject(py)?,
    };
    pickle::pack(py, call.as_any(), pickler, room)
}

/// What errors are to tell of a task.
pub(super) fn call(py: Python<'_>, task: Task) -> PyResult<Call> {
    let Task { function, args, kwargs } = task;
    let frame = submitters_frame(py)?;
    let code = frame.getattr(intern!(py, "f_code"))?;
    let file = code.getattr(intern!(py, "co_filename"))?.extract()?;
    let line = frame.getattr(intern!(py, "f_lineno"))?.extract::<Option<u32>>()?.unwrap_or(0);
    Ok(Call { function, args, kwargs, file, line })
}

/// The uppermost frame that is not this package's own, which submits for others too (a scope does).
fn submitters_frame(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    // This is no frame of Python's.
    let mut frame = stdlib::GET_FRAME.get(py)?.call0()?;
    loop {
        let globals = frame.getattr(intern!(py, "f_globals"))?.cast_into::<PyDict>()?;
        let package = globals.get_item(intern!(py, "__package__"))?;
        let back = frame.getattr(intern!(py, "f_back"))?;
        if back.is_none() || !package.is_some_and(|name| name.eq("manyhands").unwrap_or(false)) {
            return Ok(frame);
        }
        frame = back;
    }
}

/// Starts the workers of these seats. If one cannot be started, none after it is.
fn start(py: Python<'_>, opened: &Opened, seats: Vec<Seat>) -> PyResult<()> {
    let mut first = Ok(());
    for seat in seats {
        let launched = match &first {
            Ok(()) => launch::spawn(opened.spawner.bind(py)),
            Err(_) => Err(PyRuntimeError::new_err("another worker could not be started")),
        };
        let launched = launched.map_err(|error| {
            let told = launch::told(py, &error);
            if first.is_ok() {
                first = Err(error);
            }
            told
        });
        opened.pool.take_on(seat, launched);
    }
    first
}

pub(super) fn refused(py: Python<'_>, reason: &Reason) -> PyErr {
    match reason {
        Reason::Shutdown if workers::at_exit() => errors::after_interpreter_shutdown(),
        Reason::Shutdown => PyRuntimeError::new_err("cannot schedule new futures after shutdown"),
        Reason::Broken(_) => stdlib::BROKEN_PROCESS_POOL.error(py, reason.to_string()),
        other => PyRuntimeError::new_err(other.to_string()),
    }
}

/// An executor that is collected is shut down: its workers do what is pending, and leave.
impl Drop for PyProcessPoolExecutor {
    fn drop(&mut self) {
        let Some(opened) = self.opened.take() else { return };
        if opened.made_in == fork::generation() {
            opened.pool.close(false);
        } else {
            std::mem::forget(opened); // its lock may be held by a thread that is not there
        }
    }
}
