//! The pool that people write by hand with ipc-channel: a channel to each worker, one for all answers, a number for
//! each task.
//!
//! It is the least that can be done: it catches no panic, starts no worker anew, cancels nothing. Tasks go straight
//! from the submitter to the worker whose turn it is; one thread hands the answers out.

use std::cell::Cell;
use std::collections::HashMap;
use std::env;
use std::process::{self, Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use anyhow::Context as _;
use ipc_channel::ipc::{self, IpcOneShotServer, IpcReceiver, IpcSender, IpcSharedMemory};
use manyhands_bench::process::{FILLING, ProcessSubject, add, touch};
use serde::{Deserialize, Serialize};

use super::end_with_parent;
use super::inline::{self, Inline};

/// A large argument holds a file descriptor while it is on its way, and those are limited for each user.
const MOST_PENDING: usize = 512;

/// What a worker finds in its environment: the name of the server that waits for it.
const SERVER: &str = "MANYHANDS_BENCH_IPC_CHANNEL";

#[derive(Serialize, Deserialize)]
struct Request {
    id: u64,
    task: Task,
}

#[derive(Serialize, Deserialize)]
pub(super) enum Task {
    Add(u64, u64),
    Touch(IpcSharedMemory),
    TouchInline(Inline),
    Make(usize),
}

impl Task {
    pub(super) fn touch(bytes: &[u8]) -> Self {
        if bytes.len() <= inline::MOST {
            Self::TouchInline(Inline(bytes.to_vec()))
        } else {
            Self::Touch(IpcSharedMemory::from_bytes(bytes))
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct Reply {
    pub(super) id: u64,
    pub(super) answer: Answer,
}

#[derive(Serialize, Deserialize)]
pub(super) enum Answer {
    Number(u64),
    Bytes(IpcSharedMemory),
}

/// What a worker needs to begin.
type Ends = (IpcReceiver<Request>, IpcSender<Reply>);

pub(super) fn init() {
    if let Ok(server) = env::var(SERVER) {
        end_with_parent();
        // The parent has gone, or never reads the answer: nothing is left to do in either case.
        let _ = work(server);
        process::exit(0);
    }
}

fn work(server: String) -> anyhow::Result<()> {
    let (sender, receiver) = ipc::channel()?;
    IpcSender::<IpcSender<Ends>>::connect(server)?.send(sender)?;
    let (requests, replies) = receiver.recv()?;
    loop {
        let Request { id, task } = requests.recv()?;
        let answer = match task {
            Task::Add(a, b) => Answer::Number(add(a, b)),
            Task::Touch(bytes) => Answer::Number(touch(&bytes)),
            Task::TouchInline(Inline(bytes)) => Answer::Number(touch(&bytes)),
            Task::Make(length) => Answer::Bytes(IpcSharedMemory::from_byte(FILLING, length)),
        };
        replies.send(Reply { id, answer })?;
    }
}

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Answer>>>>;

pub(super) struct IpcChannel {
    workers: Vec<Worker>,
    waiting: Waiting,
    next_id: Cell<u64>,
}

impl IpcChannel {
    fn submit(&self, task: Task) -> anyhow::Result<oneshot::Receiver<Answer>> {
        let id = self.next_id.replace(self.next_id.get() + 1);
        let (sender, receiver) = oneshot::channel();
        lock(&self.waiting).insert(id, sender);
        let worker = usize::try_from(id)? % self.workers.len();
        self.workers[worker].send(id, task)?;
        Ok(receiver)
    }
}

impl ProcessSubject for IpcChannel {
    const NAME: &'static str = "ipc-channel by hand";
    const HOW: &'static str = "0.23, a channel to each worker, tasks in turn and 512 pending at most, a thread for the \
         answers; above 1 MB as `IpcSharedMemory`; survives no crash, catches no panic, cancels nothing";
    type Number = oneshot::Receiver<Answer>;
    type Bytes = IpcSharedMemory;

    fn start(workers: usize) -> anyhow::Result<Self> {
        let (replies, answers) = ipc::channel()?;
        let workers = start_workers(workers, &replies)?;
        let waiting = Waiting::default();
        let hand_out_to = Arc::clone(&waiting);
        // It ends with the last worker: then nobody holds the other end of the channel.
        thread::spawn(move || hand_out(&answers, &hand_out_to));
        Ok(Self { workers, waiting, next_id: Cell::new(0) })
    }

    fn most_pending(&self) -> usize {
        MOST_PENDING
    }

    fn add(&self, a: u64, b: u64) -> anyhow::Result<Self::Number> {
        self.submit(Task::Add(a, b))
    }

    fn touch(&self, bytes: &[u8]) -> anyhow::Result<Self::Number> {
        self.submit(Task::touch(bytes))
    }

    fn number(&self, task: Self::Number) -> anyhow::Result<u64> {
        number(&task.recv()?)
    }

    fn make(&self, length: usize) -> anyhow::Result<IpcSharedMemory> {
        bytes(self.submit(Task::Make(length))?.recv()?)
    }
}

/// A worker process, killed when dropped, and the way to it.
pub(super) struct Worker {
    requests: IpcSender<Request>,
    process: Child,
}

impl Worker {
    pub(super) fn send(&self, id: u64, task: Task) -> anyhow::Result<()> {
        Ok(self.requests.send(Request { id, task })?)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Already dead is as good.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

pub(super) fn start_workers(
    workers: usize,
    replies: &IpcSender<Reply>,
) -> anyhow::Result<Vec<Worker>> {
    (0..workers).map(|_| start_worker(replies)).collect()
}

fn start_worker(replies: &IpcSender<Reply>) -> anyhow::Result<Worker> {
    let (server, name) = IpcOneShotServer::<IpcSender<Ends>>::new()?;
    let process = Command::new("/proc/self/exe").env(SERVER, name).spawn()?;
    let (requests, receiver) = ipc::channel()?;
    let worker = Worker { requests, process };
    let (_, connected) = server.accept().context("a worker did not connect")?;
    connected.send((receiver, replies.clone()))?;
    Ok(worker)
}

pub(super) fn number(answer: &Answer) -> anyhow::Result<u64> {
    match answer {
        Answer::Number(number) => Ok(*number),
        Answer::Bytes(_) => anyhow::bail!("bytes instead of a number"),
    }
}

pub(super) fn bytes(answer: Answer) -> anyhow::Result<IpcSharedMemory> {
    match answer {
        Answer::Bytes(bytes) => Ok(bytes),
        Answer::Number(_) => anyhow::bail!("a number instead of bytes"),
    }
}

fn hand_out(answers: &IpcReceiver<Reply>, waiting: &Waiting) {
    while let Ok(Reply { id, answer }) = answers.recv() {
        if let Some(sender) = lock(waiting).remove(&id) {
            // Nobody waits any more: the answer is not needed.
            let _ = sender.send(answer);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
