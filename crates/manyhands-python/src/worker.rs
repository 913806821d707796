//! THE PYTHON WORKER LOOP.
//!
//! A worker stays attached to the interpreter from one task to the next, and detaches when there is
//! none. Then it tells of its last task only after it has let go of the GIL, so that whoever waits for
//! it finds the GIL free.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, PoisonError};

use manyhands::State;
use manyhands::promise::{View, Wake};
use manyhands::thread::pool::Worker;
use pyo3::prelude::*;
use pyo3::types::PyWeakrefMethods;

use crate::block::{Block, Claimed, Function};
use crate::graph::Ticket;
use crate::job::{self, Job};
use crate::nested::{self, InStead};
use crate::task::{self, Core, Ending, Outcome, Value, Watcher};
use crate::workers::Workers;
use crate::{errors, fat, park};

thread_local! {
    /// The pool whose worker this thread is.
    static CURRENT: RefCell<Option<Arc<Workers>>> = const { RefCell::new(None) };
}

/// As long as the calling thread works for a pool.
struct Current;

impl Current {
    fn enter(workers: &Arc<Workers>) -> Self {
        CURRENT.set(Some(Arc::clone(workers)));
        Self
    }
}

impl Drop for Current {
    fn drop(&mut self) {
        drop(CURRENT.take());
    }
}

/// The executor whose task the calling thread is at, if it is one of threads and still there.
#[pyfunction]
#[pyo3(name = "_current_thread_pool")]
pub(crate) fn current_thread_pool(py: Python<'_>) -> Option<Bound<'_, PyAny>> {
    if !nested::in_task() {
        return None;
    }
    let workers = CURRENT.with_borrow(Option::clone)?;
    if workers.is_from_before_fork() {
        return None;
    }
    workers.executor.get()?.bind(py).upgrade()
}

/// Whether the calling thread is a worker of the pool of this number.
pub(crate) fn is_current(number: u32) -> bool {
    manyhands::nested::pool() == number
}

/// A worker's place in a pool; its thread calls `run`.
#[pyclass(frozen, module = "manyhands._core", name = "_Worker")]
pub(crate) struct PyWorker {
    worker: Mutex<Option<Worker<Job>>>,
    workers: Arc<Workers>,
}

impl PyWorker {
    pub(crate) fn new(worker: Worker<Job>, workers: Arc<Workers>) -> Self {
        Self { worker: Mutex::new(Some(worker)), workers }
    }

    fn take(&self) -> Option<Worker<Job>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[pymethods]
impl PyWorker {
    /// The number of this worker in its pool, from 0.
    #[getter]
    fn index(&self) -> usize {
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner);
        worker.as_ref().map_or(0, Worker::index)
    }

    /// Leaves the pool: there is no thread for it.
    fn leave(&self) {
        drop(self.take());
    }

    /// Does what there is to do until the pool is shut down.
    fn run(&self, py: Python<'_>) {
        let Some(worker) = self.take() else { return };
        let _current = Current::enter(&self.workers);
        let compensate = InStead { workers: Arc::clone(&self.workers), seat: worker.seat() };
        let _at_work = manyhands::nested::work_for(self.workers.number, Some(Arc::new(compensate)));
        work(py, worker, &self.workers);
    }

    /// The initializer has failed: nothing is accepted any more, and all that is pending fails.
    fn break_down(&self, py: Python<'_>, reason: String) {
        let worker = self.take();
        let reason = Arc::new(reason);
        for job in self.workers.pool.break_down(Arc::clone(&reason)) {
            job::fail(py, job, &reason);
        }
        drop(worker);
    }
}

fn work(py: Python<'_>, mut worker: Worker<Job>, workers: &Workers) {
    let mut next = worker.try_next();
    loop {
        next = match next {
            Some(job) => run(py, job, &mut worker, workers).or_else(|| worker.try_next()),
            None => match py.detach(|| sleep(&mut worker)) {
                None => return,
                job => job,
            },
        };
    }
}

/// The next job, which may take long to come. Detached.
fn sleep(worker: &mut Worker<Job>) -> Option<Job> {
    let job = worker.next();
    if job.is_some() {
        park::let_submitter_wait();
    }
    job
}

/// Runs a job. `Some`: it has slept for the next one already, and this is it.
fn run(py: Python<'_>, job: Job, worker: &mut Worker<Job>, workers: &Workers) -> Option<Job> {
    match job {
        Job::Task(core) => {
            if let Some(task) = core.life.claim() {
                let outcome = nested::run(nested::id(&core), core.place, || task.call(py));
                return end(py, core, outcome, worker, workers);
            }
            errors::report(py, nested::run(nested::id(&core), core.place, || fat::run(py, &core)));
            bury(py, core, worker, workers);
            None
        }
        Job::Items(block) => run_items(py, block, worker),
        Job::Ticket(job) => job.take().and_then(|ticket| run_ticket(py, ticket, worker)),
    }
}

/// Runs tasks of a graph, until there are none or others are to have a turn.
fn run_ticket(py: Python<'_>, ticket: Ticket, worker: &mut Worker<Job>) -> Option<Job> {
    // Its nodes have no futures that anybody could wait for: for the graph of waits they are nobody's.
    let place = nested::run(nested::NOBODY, None, || ticket.work());
    if worker.has_next() {
        worker.publish(true);
        drop(place);
        // Other threads have their turn too: a function that is not Python's gives them none.
        py.detach(|| ());
        return None;
    }
    py.detach(|| {
        worker.publish(true);
        drop(place);
        sleep(worker)
    })
}

/// Runs items of a block, until none is left or the worker may be needed for something else.
fn run_items(py: Python<'_>, block: Arc<Block>, worker: &mut Worker<Job>) -> Option<Job> {
    let (item, function) = block.claim(py)?;
    let (index, outcome) = nested::run(nested::item_id(&block, item.index), block.place, || {
        call_items(py, &block, item, &function, worker)
    });
    // Before anybody sees the outcome.
    drop(function);
    match block.items.finish(py.into(), index, outcome, || worker.publish(true)) {
        Ok(finished) if worker.has_next() => {
            block.items.tell(finished);
            None
        }
        Ok(finished) => py.detach(|| {
            block.items.tell(finished);
            drop(block);
            sleep(worker)
        }),
        Err(outcome) => {
            // Nobody will see it. What its death brings about may take long, and no job must count on
            // this worker meanwhile.
            drop(outcome);
            worker.publish(true);
            None
        }
    }
}

/// Runs one item after the other; the number of the last of them, and what it has given.
fn call_items(
    py: Python<'_>,
    block: &Arc<Block>,
    mut item: Claimed,
    function: &Function,
    worker: &Worker<Job>,
) -> (usize, Outcome) {
    loop {
        if item.last && block.items.len() > 1 {
            worker.recount();
        }
        let outcome = function.call(py, item.job);
        if item.last || worker.may_have_to_help() {
            return (item.index, outcome);
        }
        match block.items.finish_and_claim(py.into(), item.index, outcome, || worker.publish_one())
        {
            Ok(next) => {
                block.has_claimed(&next);
                nested::go_on_with(nested::item_id(block, next.index));
                item = next;
            }
            Err(outcome) => return (item.index, outcome),
        }
    }
}

type Ended = Result<Wake<Watcher>, (Ending, State)>;

/// What is left to do attached when a task has ended detached.
enum Left {
    Core(Arc<Core>, Ended),
    Last(Box<Core>),
}

/// Publishes what a task has given, lets go of it, and sleeps if there is nothing else to do.
fn end(
    py: Python<'_>,
    core: Arc<Core>,
    outcome: Outcome,
    worker: &mut Worker<Job>,
    workers: &Workers,
) -> Option<Job> {
    if Arc::strong_count(&core) == 1 {
        // Nobody will see it, as above.
        drop(outcome);
        drop(core);
        worker.publish(true);
        return None;
    }
    core.show_for(py, &outcome);
    if worker.has_next() {
        let ended = core.life.finish(outcome.map(Value::Here), |last| worker.publish(last));
        settle(py, core, ended, worker, workers);
        return None;
    }
    let slept = py.detach(|| {
        let ended = core.life.finish(outcome.map(Value::Here), |last| worker.publish(last));
        if !matches!(&ended, Ok(wake) if wake.is_empty()) {
            return Err(Left::Core(core, ended));
        }
        match let_go(core) {
            None => Ok(sleep(worker)),
            Some(last) => Err(Left::Last(Box::new(last))),
        }
    });
    match slept {
        Ok(job) => return job,
        Err(Left::Core(core, ended)) => settle(py, core, ended, worker, workers),
        Err(Left::Last(last)) => clear_away(py, last, worker, workers),
    }
    None
}

/// Tells those who are to be told, and lets go.
fn settle(
    py: Python<'_>,
    core: Arc<Core>,
    ended: Ended,
    worker: &mut Worker<Job>,
    workers: &Workers,
) {
    match ended {
        Ok(wake) if wake.is_empty() => (),
        // A callback may wait, as the task could.
        Ok(wake) => {
            errors::report(
                py,
                nested::run(nested::id(&core), core.place, || task::tell(py, wake, None)),
            );
        }
        Err((outcome, _)) => {
            worker.publish(false);
            errors::report(py, fat::finish(py, &core, task::open(py, outcome)));
        }
    }
    bury(py, core, worker, workers);
}

fn bury(py: Python<'_>, core: Arc<Core>, worker: &mut Worker<Job>, workers: &Workers) {
    if let Some(last) = let_go(core) {
        clear_away(py, last, worker, workers);
    }
}

/// Gives back what is left if nobody else holds it, as it must die attached.
fn let_go(core: Arc<Core>) -> Option<Core> {
    let taken = |core: &Core| core.life.look(|view| matches!(view, View::Taken));
    Arc::into_inner(core).filter(|core| !taken(core))
}

/// Drops what nobody else holds. That may take long, or wait for another task, which needs a worker.
fn clear_away<L>(py: Python<'_>, last: L, worker: &mut Worker<Job>, workers: &Workers) {
    if let Some(other) = worker.set_busy() {
        errors::report(py, workers.start(py, other));
    }
    drop(last);
}
