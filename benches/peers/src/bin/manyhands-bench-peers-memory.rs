//! Counts the memory of pending tasks; `manyhands-bench-peers` starts it for row f.

use std::alloc::System;

use manyhands_bench::memory::{self, INSTRUMENTED_SYSTEM, StatsAlloc};
use manyhands_bench_peers::contestants;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> anyhow::Result<()> {
    memory::main(&contestants())
}
