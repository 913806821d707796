//! Real worker processes: how they are born, live and die, and what they leave behind.
//!
//! The binary is the test, the worker and the program whose death the workers must not survive, so it
//! has no test harness; it understands as much of one's command line as cargo and nextest use.

#[cfg(all(target_os = "linux", not(loom)))]
mod births;
#[cfg(all(target_os = "linux", not(loom)))]
mod deaths;
#[cfg(all(target_os = "linux", not(loom)))]
mod harness;
#[cfg(all(target_os = "linux", not(loom)))]
mod manager;
#[cfg(all(target_os = "linux", not(loom)))]
mod options;
#[cfg(all(target_os = "linux", not(loom)))]
mod worker;

#[cfg(all(target_os = "linux", not(loom)))]
fn main() -> std::process::ExitCode {
    if manyhands::process::birth::is_worker() {
        worker::run();
    }
    let tests = [births::TESTS, deaths::TESTS, options::TESTS].concat();
    match std::env::args().nth(1).as_deref() {
        Some("am-i-a-worker") => {
            println!("no");
            std::process::ExitCode::SUCCESS
        }
        Some("replaces-itself") => {
            options::replaces_itself();
            std::process::ExitCode::SUCCESS
        }
        Some("program") => deaths::program(),
        _ => harness::run(&tests),
    }
}

#[cfg(not(all(target_os = "linux", not(loom))))]
fn main() {}
