//! Counts the memory of manyhands' pending tasks; `manyhands-bench` starts it for row f.

use std::alloc::System;

use manyhands_bench::memory::{self, INSTRUMENTED_SYSTEM, StatsAlloc};
use manyhands_bench::{Contestant, Manyhands};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() -> anyhow::Result<()> {
    memory::main(&[Contestant::of::<Manyhands>()])
}
