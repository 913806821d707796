//! What the tests of worker processes share: both transports, tasks that are no closures, gates that
//! open across processes, and a look at the processes of the system.

#![allow(clippy::needless_pass_by_value, reason = "a task owns its arguments")]

use std::ffi::OsString;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use manyhands::process::{CurrentExecutor, Transport, current_executor};
use manyhands::{Crash, Exception, Executor, Future, FutureError};
use rustix::process::{Pid, Resource, Rlimit, Signal, getpid, kill_process, setrlimit};
use serde::{Deserialize, Serialize};

/// Far longer than anything takes that comes at all.
const PATIENCE: Duration = Duration::from_secs(40);

/// Runs a test over shared memory, and again over sockets.
pub(crate) fn on_both(test: impl Fn(Transport)) {
    for transport in [Transport::Automatic, Transport::Socket] {
        eprintln!("transport: {transport:?}");
        test(transport);
    }
}

/// Waits until it is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "not within {PATIENCE:?}: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

pub(crate) fn executor() -> CurrentExecutor {
    current_executor().expect("it is called in a worker")
}

/// An outcome that crosses.
pub(crate) fn say<T>(outcome: Result<T, FutureError>) -> Result<T, String> {
    outcome.map_err(|error| error.to_string())
}

pub(crate) fn value(future: Future<u64>) -> Result<u64, String> {
    say(future.result(None))
}

/// How a task ends its worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Death {
    Exit(i32),
    Abort,
    Segv,
    Kill,
    StackOverflow,
    OutOfMemory,
}

pub(crate) fn die(how: Death) -> u64 {
    let signal = |signal| {
        // Rust's own handler of SIGSEGV only steps aside the first time.
        loop {
            kill_process(getpid(), signal).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
    };
    match how {
        Death::Exit(code) => std::process::exit(code),
        Death::Abort => std::process::abort(),
        Death::Segv => signal(Signal::SEGV),
        Death::Kill => signal(Signal::KILL),
        Death::StackOverflow => descend(0),
        Death::OutOfMemory => black_box(vec![1_u8; 16 << 30]).len() as u64,
    }
}

fn descend(depth: u64) -> u64 {
    if depth == u64::MAX { 0 } else { black_box(descend(black_box(depth + 1))) + 1 }
}

/// An initializer: the worker gets no more memory than this.
pub(crate) fn limit_memory(bytes: u64) {
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    setrlimit(Resource::Data, limit).unwrap();
}

pub(crate) fn add(a: u64, b: u64) -> u64 {
    a + b
}

pub(crate) fn pid() -> u32 {
    std::process::id()
}

pub(crate) fn sleep(millis: u64) -> u64 {
    thread::sleep(Duration::from_millis(millis));
    millis
}

/// A task that says that it has begun, and ends when its gate opens.
pub(crate) fn hold(gate: Gate) -> u32 {
    gate.arrive();
    gate.wait();
    std::process::id()
}

/// A place in the file system at which tasks wait for a test.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Gate(PathBuf);

impl Gate {
    pub(crate) fn at(path: PathBuf) -> Self {
        Self(path)
    }

    fn file(&self, what: &str) -> PathBuf {
        self.0.with_extension(what)
    }

    pub(crate) fn arrive(&self) {
        fs::write(self.file(&format!("arrived-{}", std::process::id())), "").unwrap();
    }

    /// How many processes have arrived.
    pub(crate) fn arrivals(&self) -> usize {
        let name = self.file("arrived").file_name().unwrap().to_string_lossy().into_owned();
        let files = fs::read_dir(self.0.parent().unwrap()).unwrap();
        files.filter(|file| begins_with(&file.as_ref().unwrap().file_name(), &name)).count()
    }

    pub(crate) fn open(&self) {
        fs::write(self.file("open"), "").unwrap();
    }

    pub(crate) fn is_open(&self) -> bool {
        self.file("open").exists()
    }

    fn wait(&self) {
        while !self.is_open() {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

fn begins_with(name: &OsString, prefix: &str) -> bool {
    name.to_string_lossy().starts_with(prefix)
}

/// A directory that goes with its test.
pub(crate) struct Directory(PathBuf);

impl Directory {
    pub(crate) fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = format!("manyhands-test-{}-{number}", std::process::id());
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).unwrap();
        Self(directory)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn gate(&self, name: &str) -> Gate {
        Gate(self.0.join(name))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Keeps one worker busy until the gate opens.
pub(crate) fn keep_busy(executor: &impl Executor, gate: &Gate) -> Future<u32> {
    let before = gate.arrivals();
    let held = executor.submit(hold, (gate.clone(),)).unwrap();
    eventually("a task begins", || gate.arrivals() > before);
    held
}

/// The crash that the task has ended with.
#[track_caller]
pub(crate) fn crash<T: Send, E: Send + Sync + std::fmt::Debug>(
    future: &Future<T, E>,
) -> Arc<Crash> {
    match future.exception(None).unwrap() {
        Some(Exception::Crashed(crash)) => crash,
        other => panic!("no crash: {other:?}"),
    }
}

pub(crate) fn signal(pid: u32, signal: Signal) {
    // It may have ended meanwhile.
    let _ = kill_process(as_pid(pid), signal);
}

pub(crate) fn as_pid(pid: u32) -> Pid {
    Pid::from_raw(pid.cast_signed()).unwrap()
}

/// The process has not ended. One that nobody has waited for yet has.
pub(crate) fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| !matches!(state, 'Z' | 'X'))
}

/// It was stopped by a signal.
pub(crate) fn is_stopped(pid: u32) -> bool {
    stat(pid).is_some_and(|(state, _)| state == 'T')
}

/// All processes, dead ones that nobody has waited for included, that this one is the parent of.
pub(crate) fn children_of(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap();
    let pids = processes.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid| stat(*pid).is_some_and(|(_, of)| of == parent)).collect()
}

/// State and parent.
fn stat(pid: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// The variable that tells a test that it runs in a program of its own.
const ALONE: &str = "MANYHANDS_TEST_ALONE";

/// Whether this is the program that [`alone`] has started.
pub(crate) fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// The command that runs one test of this file in a program of its own, through `wrapper`, a shell
/// script that ends in `exec "$@"`.
pub(crate) fn alone(test: &str, wrapper: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", wrapper, "sh"]).arg(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command.env(ALONE, "yes").stdin(Stdio::null());
    command
}
