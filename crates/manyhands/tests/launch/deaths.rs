//! How workers end, and that none outlives its program.

use std::io::{BufRead, BufReader};
use std::process::{Command, ExitCode, Stdio};

use manyhands::Exit;
use manyhands::process::launch::{Launcher, ProcessLauncher};
use manyhands::process::link::{Link, LinkError};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, waitid};

use crate::harness::tests;
use crate::manager::{Worker, bear, is_alive, launcher, pause};

tests![
    a_worker_that_exits_in_a_task_is_seen,
    a_worker_that_aborts_in_a_task_is_seen,
    a_worker_that_is_killed_is_seen,
    a_worker_that_is_dropped_is_killed,
    a_worker_that_others_have_reaped_ended_somehow,
    no_worker_outlives_its_program,
    a_worker_that_is_born_too_late_is_an_orphan,
];

fn dies_in_a_task(request: &str) -> (Exit, Worker) {
    let mut worker = bear("serve", b"").unwrap();
    assert_eq!(worker.ask("echo well"), "well");
    assert!(matches!(worker.try_ask(request), Err(LinkError::Closed)));
    assert_eq!(worker.link().claimed(), 1, "it was begun");
    assert_eq!(worker.link().request(0).unwrap(), request.as_bytes());
    (worker.exit(), worker)
}

fn a_worker_that_exits_in_a_task_is_seen() {
    assert_eq!(dies_in_a_task("exit 5").0, Exit::Code(5));
    assert_eq!(dies_in_a_task("exit 0").0, Exit::Code(0));
}

fn a_worker_that_aborts_in_a_task_is_seen() {
    assert_eq!(dies_in_a_task("abort").0, Exit::Signal(6));
}

fn a_worker_that_is_killed_is_seen() {
    for signal in [Signal::KILL, Signal::TERM] {
        let mut worker = bear("serve", b"").unwrap();
        assert_eq!(worker.child.try_wait().unwrap(), None);
        worker.child.signal(signal).unwrap();
        assert_eq!(worker.exit(), Exit::Signal(signal.as_raw()));
        worker.child.signal(signal).unwrap();
    }
}

fn a_worker_that_is_dropped_is_killed() {
    let mut worker = bear("serve", b"").unwrap();
    worker.link().offer(&[b"sleep"]).unwrap();
    let pid = worker.child.pid();
    assert!(is_alive(pid));
    drop(worker);
    assert!(!std::fs::exists(format!("/proc/{pid}")).unwrap(), "not even a zombie is left");
}

fn a_worker_that_others_have_reaped_ended_somehow() {
    let mut worker = bear("serve", b"").unwrap();
    worker.child.signal(Signal::KILL).unwrap();
    let pid = Pid::from_raw(worker.child.pid().cast_signed()).unwrap();
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED).unwrap();
    assert_eq!(worker.exit(), Exit::Unknown);
}

/// The program whose workers must not outlive it: names them, and waits for its end.
pub(crate) fn program() -> ExitCode {
    let mut workers = ["serve", "serve", "serve-in-a-thread"].map(|how| bear(how, b"").unwrap());
    // One at rest, two at work, which will not hear of a closed link.
    workers[1].link().offer(&[b"sleep"]).unwrap();
    workers[2].link().offer(&[b"sleep"]).unwrap();
    let mut late = ProcessLauncher { quiet_birth: false, ..launcher("late") };
    let unborn = late.launch(0).unwrap();
    // Somebody holds its lifeline open, so that only the system can tell it that we are gone.
    let mut holder = Command::new("cat")
        .stdin(unborn.socket.try_clone().unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    for worker in &workers {
        println!("{}", worker.child.pid());
    }
    println!("all");
    // For ever: who kills us comes first.
    holder.wait().unwrap();
    ExitCode::FAILURE
}

fn killed_program(with: impl FnOnce(&[u32])) -> Vec<String> {
    let exe = std::env::current_exe().unwrap();
    let mut program =
        Command::new(exe).arg("program").stdout(Stdio::piped()).spawn().expect("it starts");
    let mut lines = BufReader::new(program.stdout.take().unwrap()).lines().map(Result::unwrap);
    let pids: Vec<u32> =
        lines.by_ref().take_while(|line| line != "all").map(|pid| pid.parse().unwrap()).collect();
    assert_eq!(pids.len(), 3);
    assert!(pids.iter().all(|pid| is_alive(*pid)));
    program.kill().unwrap();
    program.wait().unwrap();
    with(&pids);
    lines.collect()
}

fn no_worker_outlives_its_program() {
    killed_program(|pids| {
        while pids.iter().any(|pid| is_alive(*pid)) {
            pause();
        }
    });
}

fn a_worker_that_is_born_too_late_is_an_orphan() {
    let lines = killed_program(|_| ());
    assert_eq!(lines, ["the program that has started this worker is gone"]);
}
