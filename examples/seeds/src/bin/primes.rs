//! `primes`: which numbers are prime, by `map` over an executor. From the `ProcessPoolExecutor`
//! example of Python's documentation.

use anyhow::Result;
use clap::Parser;
use manyhands::{Executor, process, tasks};
use seeds::Workers;

const PRIMES: [u64; 6] = [
    112_272_535_095_293,
    112_582_705_942_171,
    112_272_535_095_293,
    115_280_095_190_773,
    115_797_848_077_099,
    1_099_726_899_285_419,
];

/// Says which numbers are prime.
#[derive(Parser)]
struct Args {
    /// Where the work is done
    #[arg(long, value_enum, default_value = "threads")]
    executor: Workers,
    /// The numbers to look at
    #[arg(default_values_t = PRIMES)]
    numbers: Vec<u64>,
}

fn main() -> Result<()> {
    process::init(tasks![is_prime]);
    let args = Args::parse();
    let executor = args.executor.executor()?;
    report(&executor, &args.numbers)
}

fn report(executor: &impl Executor, numbers: &[u64]) -> Result<()> {
    for (number, prime) in numbers.iter().zip(executor.map(is_prime, numbers.to_vec())) {
        println!("{number} is prime: {}", prime?);
    }
    Ok(())
}

fn is_prime(n: u64) -> bool {
    if n < 2 {
        return false;
    }
    if n.is_multiple_of(2) {
        return n == 2;
    }
    (3..=n.isqrt()).step_by(2).all(|divisor| !n.is_multiple_of(divisor))
}

#[cfg(test)]
mod tests {
    use super::is_prime;

    #[test]
    fn small_numbers_are_told_apart() {
        let primes: Vec<u64> = (0..50).filter(|&n| is_prime(n)).collect();
        assert_eq!(primes, [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47]);
    }

    #[test]
    fn the_square_of_a_prime_is_not_prime() {
        // The largest divisor that must be tried is the root itself.
        assert!(is_prime(65_521));
        assert!(!is_prime(65_521 * 65_521));
    }
}
