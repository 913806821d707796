//! `primes` says of the documentation's numbers what the documentation says, on every executor.

use std::time::Duration;

use assert_cmd::cargo::cargo_bin_cmd;

fn primes(args: &[&str]) -> String {
    let run =
        cargo_bin_cmd!("primes").timeout(Duration::from_secs(100)).args(args).assert().success();
    String::from_utf8(run.get_output().stdout.clone()).expect("the output is text")
}

#[test]
fn the_documentations_numbers() {
    let expected = "112272535095293 is prime: true\n\
                    112582705942171 is prime: true\n\
                    112272535095293 is prime: true\n\
                    115280095190773 is prime: true\n\
                    115797848077099 is prime: true\n\
                    1099726899285419 is prime: false\n";
    for executor in ["threads", "processes", "inline"] {
        assert_eq!(primes(&["--executor", executor]), expected, "{executor}");
    }
}

#[test]
fn numbers_of_ones_own() {
    let expected = "0 is prime: false\n2 is prime: true\n9 is prime: false\n";
    for executor in ["threads", "processes", "inline"] {
        assert_eq!(primes(&["--executor", executor, "0", "2", "9"]), expected);
    }
}

#[test]
fn what_is_no_number_is_refused() {
    cargo_bin_cmd!("primes").timeout(Duration::from_secs(100)).arg("seven").assert().failure();
}
