//! Measures manyhands alone. The peers are in the package `manyhands-bench-peers`.

use manyhands_bench::{Contestant, Manyhands, cli};

fn main() -> anyhow::Result<()> {
    cli::run(&[Contestant::of::<Manyhands>()])
}
