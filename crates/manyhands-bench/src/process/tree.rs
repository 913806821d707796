//! The processes below this one, as `/proc` shows them.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::gettid;

/// Processes started by `root`, and by those.
pub fn descendants(root: i32) -> Vec<i32> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (pid, parent) in numbers_in("/proc").filter_map(|pid| Some((pid, parent_of(pid)?))) {
        children.entry(parent).or_default().push(pid);
    }
    let mut found = children.remove(&root).unwrap_or_default();
    let mut looked_at = 0;
    while let Some(pid) = found.get(looked_at) {
        found.extend(children.remove(pid).unwrap_or_default());
        looked_at += 1;
    }
    found
}

/// Ends what `root` has started: who gives up calls this, since nothing is dropped then.
pub fn kill_descendants(root: i32) {
    for pid in descendants(root).into_iter().filter_map(Pid::from_raw) {
        // One that has just ended by itself needs no killing.
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// The processor time that these processes have taken, without the threads that have ended, and without this thread:
/// it only looks.
///
/// It comes from the scheduler: `/proc/PID/stat` counts in hundredths of a second, which is more than an idle pool takes.
pub fn processor_time(processes: &[i32]) -> Duration {
    let own = gettid().as_raw_pid();
    let nanos = processes.iter().flat_map(|&pid| {
        let threads = numbers_in(&format!("/proc/{pid}/task")).filter(|&thread| thread != own);
        threads.filter_map(move |thread| nanos_of(pid, thread))
    });
    Duration::from_nanos(nanos.sum())
}

fn numbers_in(folder: &str) -> impl Iterator<Item = i32> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// None when it has ended meanwhile.
fn parent_of(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name, in parentheses, may hold anything; after it come the state and the parent.
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn nanos_of(pid: i32, thread: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).ok()?;
    stat.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::hint;
    use std::io::Read as _;
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;
    use std::time::Instant;

    use rustix::process::getpid;

    use super::*;

    #[test]
    fn a_child_and_what_it_started_are_found_and_the_latter_killed() {
        // `read` waits for a standard input that stays open; the shell gives its jobs none, hence the 3.
        let script = "exec 3<&0; sh -c 'echo up; read line <&3; true' & wait";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        output.read_exact(&mut [0; 3]).unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        let below = descendants(pid);
        assert_eq!(below.len(), 1);
        let all = descendants(getpid().as_raw_pid());
        assert!(all.contains(&pid) && all.contains(&below[0]), "{all:?}");
        kill_descendants(pid);
        // The end of the output: of those who could write, only the child is left, and it only waits for them.
        assert_eq!(output.read_to_end(&mut Vec::new()).unwrap(), 0);
        child.wait().unwrap();
    }

    #[test]
    fn what_another_thread_works_is_counted() {
        let processes = [getpid().as_raw_pid()];
        let before = processor_time(&processes);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    hint::spin_loop();
                }
            });
            let begin = Instant::now();
            let mut counts = false;
            while !counts && begin.elapsed() < Duration::from_mins(1) {
                counts = processor_time(&processes) > before;
            }
            over.store(true, Ordering::Relaxed);
            assert!(counts, "the scheduler counts nothing");
        });
    }
}
