//! The rows of the results: which workload, at which size, and what its figures mean.

use std::time::Duration;

use crate::row::{Column, PER_TASK, PROCESSOR, ROUND_TRIP, Row, cost, grouped, scaled};

/// A workload and the number of worker processes that share it.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// The size of the pool.
    pub workers: usize,
    /// What it is made to do.
    pub work: Work,
}

/// What a pool is made to do. Unless said otherwise it is a fresh one, whose workers have all done something before.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// Submit tiny tasks, then collect each in order of submission. Yields us per task.
    Bulk {
        /// How many.
        tasks: u32,
    },
    /// Submit a tiny task, wait for it, and again. Yields the median and the 99th percentile in us.
    RoundTrips {
        /// How often.
        trips: u32,
        /// Keep every core busy with threads of the parent meanwhile.
        crowded: bool,
        /// Stop here even with fewer trips done.
        at_most: Duration,
    },
    /// Hand over a buffer and wait for what the task found in it. Yields ms.
    In {
        /// How long it is.
        length: usize,
    },
    /// Have a buffer made, and read it. Yields ms.
    Out {
        /// How long it is.
        length: usize,
    },
    /// Submit buffers, then collect what the tasks found in each. Yields us per buffer.
    ManyIn {
        /// How many.
        buffers: u32,
        /// How long each is.
        length: usize,
    },
    /// Start a pool and wait for its first result. Yields ms.
    Start,
    /// A worker process for each tiny task. Yields ms per task.
    Recycle {
        /// How many.
        tasks: u32,
    },
    /// Leave the pool alone. Yields the processor time that parent and workers take nevertheless, in us.
    Idle {
        /// For how long.
        watched: Duration,
    },
}

const MILLIS: &[Column] = &[cost("ms")];
const PER_BUFFER: &[Column] = &[cost("us per buffer")];
const MILLIS_PER_TASK: &[Column] = &[cost("ms per task")];

/// All rows, their sizes multiplied by `scale`.
pub(super) fn all(scale: f64) -> Vec<Row<Load>> {
    let sized = |full: u32| scaled(full, scale);
    let row = |id, what, columns, workers, work| {
        let what = format!("{what}, {workers} workers");
        Row { id, what, columns, work: Load { workers, work } }
    };
    let mut rows = Vec::new();

    let tasks = sized(100_000);
    for (id, workers) in [("a2", 2), ("a8", 8)] {
        let what = format!("submit {} tiny tasks, then collect each in order", grouped(tasks));
        rows.push(row(id, what, PER_TASK, workers, Work::Bulk { tasks }));
    }

    let trips = sized(20_000);
    let at_most = Duration::from_secs(5);
    for (id, crowded, where_) in [("b1", false, ""), ("b2", true, " with every core kept busy")] {
        let what = format!(
            "submit one and wait for it{where_}, up to {} times in {} s",
            grouped(trips),
            at_most.as_secs()
        );
        let work = Work::RoundTrips { trips, crowded, at_most };
        rows.push(row(id, what, ROUND_TRIP, 2, work));
    }

    let bytes = sized(100_000_000);
    let length = usize::try_from(bytes).expect("there are 32 bits at least");
    let what = format!(
        "{} bytes in, for the second time, a byte of each page read by the task",
        grouped(bytes)
    );
    rows.push(row("c1", what, MILLIS, 2, Work::In { length }));
    let what = format!(
        "{} bytes out, for the second time, a byte of each page read by the parent",
        grouped(bytes)
    );
    rows.push(row("c2", what, MILLIS, 2, Work::Out { length }));
    let buffers = sized(1_000);
    let what = format!("{} buffers of 100,000 bytes in, for the second time", grouped(buffers));
    let work = Work::ManyIn { buffers, length: 100_000 };
    rows.push(row("c3", what, PER_BUFFER, 2, work));

    let what = "start a pool and wait for its first result".to_owned();
    rows.push(row("d", what, MILLIS, 2, Work::Start));
    let tasks = sized(200);
    let what = format!("{} tiny tasks, each in a worker process of its own", grouped(tasks));
    rows.push(row("e", what, MILLIS_PER_TASK, 2, Work::Recycle { tasks }));
    let watched = Duration::from_millis(u64::from(sized(2_000)));
    let what = format!(
        "processor time of an idle pool, parent and workers, within {} ms",
        watched.as_millis()
    );
    rows.push(row("f", what, PROCESSOR, 2, Work::Idle { watched }));
    rows
}
