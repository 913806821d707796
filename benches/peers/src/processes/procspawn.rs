//! procspawn: its pool, and for recycling its `spawn`, which is a process for each call.

use manyhands_bench::process::{FILLING, ProcessSubject, add, touch};
use procspawn::serde::{Shmem, with_ipc_mode};
use procspawn::{JoinHandle, Pool, ProcConfig};

use super::end_with_parent;
use super::inline::{self, Inline};

/// Each pending task holds three file descriptors of the parent, and a large argument one more; so few still keep
/// all workers busy.
const MOST_PENDING: usize = 64;

pub(super) fn init() {
    ProcConfig::new().config_callback(end_with_parent).init();
}

pub(super) enum Procspawn {
    Pool(Pool),
    ProcessPerTask { at_a_time: usize },
}

impl Procspawn {
    fn pool(&self) -> anyhow::Result<&Pool> {
        match self {
            Self::Pool(pool) => Ok(pool),
            Self::ProcessPerTask { .. } => anyhow::bail!("recycling is measured with `add` alone"),
        }
    }
}

impl ProcessSubject for Procspawn {
    const NAME: &'static str = "procspawn";
    const HOW: &'static str = "1.x, `Pool`, with 64 tasks pending at most, since each holds file descriptors; above 1 MB as \
         `Shmem`; recycling with `spawn`, as many at a time as there are workers";
    type Number = JoinHandle<u64>;
    type Bytes = Shmem;

    fn start(workers: usize) -> anyhow::Result<Self> {
        Ok(Self::Pool(Pool::new(workers)?))
    }

    fn start_recycling(workers: usize) -> anyhow::Result<Self> {
        Ok(Self::ProcessPerTask { at_a_time: workers })
    }

    fn most_pending(&self) -> usize {
        match self {
            Self::Pool(_) => MOST_PENDING,
            Self::ProcessPerTask { at_a_time } => *at_a_time,
        }
    }

    fn add(&self, a: u64, b: u64) -> anyhow::Result<JoinHandle<u64>> {
        Ok(match self {
            Self::Pool(pool) => pool.spawn((a, b), add_pair),
            Self::ProcessPerTask { .. } => procspawn::spawn((a, b), add_pair),
        })
    }

    fn touch(&self, bytes: &[u8]) -> anyhow::Result<JoinHandle<u64>> {
        let pool = self.pool()?;
        if bytes.len() <= inline::MOST {
            return Ok(pool.spawn(Inline(bytes.to_vec()), touch_inline));
        }
        let bytes = Shmem::from_bytes(bytes);
        // Without it the pool sends the bytes themselves, and the worker expects a handle: it panics.
        Ok(with_ipc_mode(|| pool.spawn(bytes, touch_shared)))
    }

    fn number(&self, task: JoinHandle<u64>) -> anyhow::Result<u64> {
        Ok(task.join()?)
    }

    fn make(&self, length: usize) -> anyhow::Result<Shmem> {
        Ok(self.pool()?.spawn(length, make_shared).join()?)
    }
}

fn add_pair((a, b): (u64, u64)) -> u64 {
    add(a, b)
}

#[expect(clippy::needless_pass_by_value, reason = "a task owns its argument")]
fn touch_shared(bytes: Shmem) -> u64 {
    touch(&bytes)
}

#[expect(clippy::needless_pass_by_value, reason = "a task owns its argument")]
fn touch_inline(bytes: Inline) -> u64 {
    touch(&bytes.0)
}

fn make_shared(length: usize) -> Shmem {
    Shmem::from_bytes(&vec![FILLING; length])
}
