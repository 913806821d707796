//! Measures pools of worker processes in one run; see `--help`.

use manyhands_bench::process::cli;
use manyhands_bench_peers::processes::{contestants, init};

fn main() -> anyhow::Result<()> {
    // Worker processes are this program too, and shall come no further.
    init();
    cli::run(&contestants())
}
