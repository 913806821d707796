//! manyhands itself as a subject.

use manyhands::process::Buffer;
use manyhands::{Executor as _, Future, ProcessPoolExecutor};

use super::{FILLING, ProcessSubject};

/// The process pool of manyhands.
#[derive(Debug)]
pub struct Manyhands(ProcessPoolExecutor);

impl Manyhands {
    /// The first thing in `main`: does not return in a worker process.
    pub fn init() {
        manyhands::process::init(manyhands::tasks![add, touch, make]);
    }
}

impl ProcessSubject for Manyhands {
    const NAME: &'static str = <crate::Manyhands as crate::Subject>::NAME;
    const HOW: &'static str = "`ProcessPoolExecutor`: `submit`; large data as `Buffer`; recycling with \
         `max_tasks_per_child(1)`";
    type Number = Future<u64>;
    type Bytes = Buffer<u8>;

    fn start(workers: usize) -> anyhow::Result<Self> {
        Ok(Self(ProcessPoolExecutor::builder().max_workers(workers).build()?))
    }

    fn start_recycling(workers: usize) -> anyhow::Result<Self> {
        let builder = ProcessPoolExecutor::builder().max_workers(workers);
        Ok(Self(builder.max_tasks_per_child(1).build()?))
    }

    fn add(&self, a: u64, b: u64) -> anyhow::Result<Future<u64>> {
        Ok(self.0.submit(add, (a, b))?)
    }

    fn touch(&self, bytes: &[u8]) -> anyhow::Result<Future<u64>> {
        // One copy, straight into shared memory, as the peers have it.
        Ok(self.0.submit(touch, (self.0.buffer(bytes),))?)
    }

    fn number(&self, task: Future<u64>) -> anyhow::Result<u64> {
        Ok(task.into_result(None)?)
    }

    fn make(&self, length: usize) -> anyhow::Result<Buffer<u8>> {
        Ok(self.0.submit(make, (length,))?.into_result(None)?)
    }
}

fn add(a: u64, b: u64) -> u64 {
    super::add(a, b)
}

#[allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]
fn touch(bytes: Buffer<u8>) -> u64 {
    super::touch(&bytes)
}

fn make(length: usize) -> Buffer<u8> {
    Buffer::filled(FILLING, length)
}
