//! ipc-channel without a pool: one thread sends the tasks and receives the answers itself.
//!
//! No thread hands answers out, so there is one wake less on the way back. That is no pool any more: no other thread
//! can submit or wait, and who submits without collecting stands still in the end.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use ipc_channel::ipc::{self, IpcReceiver, IpcSharedMemory};
use manyhands_bench::process::ProcessSubject;

use super::ipc_channel::{Answer, Reply, Task, Worker, bytes, number, start_workers};

/// So many answers fit into the channel. With more, the worker that cannot send and the parent that cannot either
/// would wait for each other.
const MOST_PENDING: usize = 128;

pub(super) struct IpcBare {
    workers: Vec<Worker>,
    answers: IpcReceiver<Reply>,
    early: RefCell<HashMap<u64, Answer>>,
    next_id: Cell<u64>,
}

impl IpcBare {
    fn submit(&self, task: Task) -> anyhow::Result<u64> {
        let id = self.next_id.replace(self.next_id.get() + 1);
        let worker = usize::try_from(id)? % self.workers.len();
        self.workers[worker].send(id, task)?;
        Ok(id)
    }

    fn wait_for(&self, wanted: u64) -> anyhow::Result<Answer> {
        if let Some(answer) = self.early.borrow_mut().remove(&wanted) {
            return Ok(answer);
        }
        loop {
            let Reply { id, answer } = self.answers.recv()?;
            if id == wanted {
                return Ok(answer);
            }
            self.early.borrow_mut().insert(id, answer);
        }
    }
}

impl ProcessSubject for IpcBare {
    const NAME: &'static str = "ipc-channel, bare";
    const HOW: &'static str =
        "the same without the thread, 128 tasks pending at most: who submits receives the answers";
    type Number = u64;
    type Bytes = IpcSharedMemory;

    fn start(workers: usize) -> anyhow::Result<Self> {
        let (replies, answers) = ipc::channel()?;
        let workers = start_workers(workers, &replies)?;
        Ok(Self { workers, answers, early: RefCell::default(), next_id: Cell::new(0) })
    }

    fn most_pending(&self) -> usize {
        MOST_PENDING
    }

    fn add(&self, a: u64, b: u64) -> anyhow::Result<u64> {
        self.submit(Task::Add(a, b))
    }

    fn touch(&self, bytes: &[u8]) -> anyhow::Result<u64> {
        self.submit(Task::touch(bytes))
    }

    fn number(&self, task: u64) -> anyhow::Result<u64> {
        number(&self.wait_for(task)?)
    }

    fn make(&self, length: usize) -> anyhow::Result<IpcSharedMemory> {
        bytes(self.wait_for(self.submit(Task::Make(length))?)?)
    }
}
