//! Measures manyhands and its peers in one run; see `--help`.

use manyhands_bench::cli;
use manyhands_bench_peers::contestants;

fn main() -> anyhow::Result<()> {
    cli::run(&contestants())
}
