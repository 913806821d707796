//! CPython's own pools of worker processes, measured by `benches/python/processes.py`.
//!
//! The script runs a workload of its own and prints the figures; only the crowd, which the GIL would hold up, is ours.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, ensure};
use manyhands_bench::Cannot;
use manyhands_bench::process::{Kind, Load, ProcessContestant, Work, in_a_crowd};

/// Which Python to take, where it is not on PATH.
const CHOSEN: &str = "MANYHANDS_BENCH_PYTHON";

/// The newest with which all rows run and whose figures others publish.
const VERSION: &str = "3.13";

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../python/processes.py");

pub(super) fn contestants() -> Vec<ProcessContestant> {
    let peer = |name, how, fits, run| ProcessContestant { name, how, kind: Kind::Peer, fits, run };
    vec![
        peer("CPython executor", EXECUTOR, |_| true, |load| run("executor", load)),
        peer("CPython map", MAP, maps, |load| run("map", load)),
        peer("CPython mp.Pool", POOL, |_| true, |load| run("pool", load)),
    ]
}

const EXECUTOR: &str = "3.13, `concurrent.futures.ProcessPoolExecutor`: `submit` and `result`; recycling with \
     `max_tasks_per_child=1` and the spawn context";
const MAP: &str = "the same with `map` and `chunksize=1`";
const POOL: &str = "3.13, `multiprocessing.Pool`: `apply_async` and `get`; recycling with `maxtasksperchild=1` and the \
     spawn context";

fn maps(work: &Work) -> bool {
    matches!(work, Work::Bulk { .. } | Work::ManyIn { .. })
}

fn run(way: &str, load: &Load) -> anyhow::Result<Vec<f64>> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let Some(python) = FOUND.get_or_init(find) else {
        let why = format!("not found: no Python {VERSION} on PATH or with pyenv, nor in {CHOSEN}");
        return Err(Cannot(why).into());
    };
    match load.work {
        Work::RoundTrips { crowded: true, .. } => in_a_crowd(|| figures(python, way, load)),
        _ => figures(python, way, load),
    }
}

fn figures(python: &Path, way: &str, load: &Load) -> anyhow::Result<Vec<f64>> {
    let (row, words) = match load.work {
        Work::Bulk { tasks } => ("bulk", vec![tasks.to_string()]),
        Work::RoundTrips { trips, at_most, .. } => {
            ("round_trips", vec![trips.to_string(), at_most.as_secs_f64().to_string()])
        }
        Work::In { length } => ("bytes_in", vec![length.to_string()]),
        Work::ManyIn { buffers, length } => {
            ("many_in", vec![buffers.to_string(), length.to_string()])
        }
        Work::Out { length } => ("bytes_out", vec![length.to_string()]),
        Work::Start => ("start", vec![]),
        Work::Recycle { tasks } => ("recycle", vec![tasks.to_string()]),
        Work::Idle { watched } => ("idle", vec![watched.as_secs_f64().to_string()]),
    };
    let mut child = Command::new(python)
        .args(["-I", SCRIPT, way, row, &load.workers.to_string()])
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("{} did not start", python.display()))?;
    // The script ends, and its workers with it, when this pipe is closed: as long as it is here it may run.
    let stay = child.stdin.take();
    let output = child.wait_with_output()?;
    drop(stay);
    ensure!(output.status.success(), "{SCRIPT} {way} {row}: {}", output.status);
    let printed = String::from_utf8(output.stdout)?;
    let figures: Result<Vec<f64>, _> = printed.split_whitespace().map(str::parse).collect();
    figures.with_context(|| format!("{SCRIPT} {way} {row} printed {printed:?}"))
}

/// The Python that the environment names, or the first of the version that starts.
fn find() -> Option<PathBuf> {
    if let Some(chosen) = env::var_os(CHOSEN) {
        return Some(chosen.into());
    }
    let mut candidates = vec![PathBuf::from(format!("python{VERSION}"))];
    candidates.extend(pyenv_pythons().unwrap_or_default());
    candidates.into_iter().find(|candidate| starts(candidate))
}

/// A shim of pyenv is on PATH but may not start, so its interpreters are asked themselves.
fn pyenv_pythons() -> Option<Vec<PathBuf>> {
    let output = Command::new("pyenv").arg("root").stderr(Stdio::null()).output().ok()?;
    let root = String::from_utf8(output.stdout).ok()?;
    let folders = Path::new(root.trim()).join("versions").read_dir().ok()?.flatten();
    let mut pythons: Vec<PathBuf> =
        folders.map(|folder| folder.path().join("bin/python")).collect();
    pythons.sort();
    Some(pythons)
}

fn starts(candidate: &Path) -> bool {
    let probe = "import sys; print(sys.implementation.name, '%d.%d' % sys.version_info[:2])";
    let mut command = Command::new(candidate);
    let output =
        command.args(["-I", "-c", probe]).stdin(Stdio::null()).stderr(Stdio::null()).output();
    output.is_ok_and(|output| output.stdout.trim_ascii() == format!("cpython {VERSION}").as_bytes())
}
