//! What it costs that tasks wait for tasks of their own pool: divide and conquer on manyhands, by tasks and by
//! `join`, on rayon's `join`, and on tokio, whose tasks `.await` each other. (Tokio tasks that wait in `block_in_place` instead
//! hang now and then: each that waits takes a thread, and when 512 of them wait there is none for the rest.)

use std::fs;
use std::future::Future;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use manyhands::{Executor, Scope, ThreadPoolExecutor, join};
use rayon::iter::{IntoParallelIterator, ParallelIterator};
use tokio::runtime::Runtime;

const WORKERS: usize = 2;
const ROUNDS: usize = 7;
const NUMBERS: usize = 1_000_000;
/// Below this length a part is sorted by the one who has it.
const SORTED_ALONE: usize = 5_000;

type Pool = Arc<ThreadPoolExecutor>;

/// The executors of one run.
struct Subjects {
    ours: Pool,
    rayon: rayon::ThreadPool,
    tokio: Runtime,
}

fn main() -> anyhow::Result<()> {
    let subjects = Subjects {
        ours: Arc::new(ThreadPoolExecutor::new(WORKERS)?),
        rayon: rayon::ThreadPoolBuilder::new().num_threads(WORKERS).build()?,
        tokio: tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).build()?,
    };
    println!("ms, the best of {ROUNDS}, {WORKERS} workers; in brackets the times of rayon's");
    let columns = ["join", "tasks", "tokio"].map(|name| format!("{name:>16}"));
    println!("{:26} {:>9} {}", "", "rayon", columns.join(" "));
    // A leaf is a sequential `fib` of one or two less than the cutoff.
    for (leaf, n, cutoff) in
        [("nothing", 24, 2), ("1 us", 30, 13), ("10 us", 32, 18), ("100 us", 36, 23)]
    {
        fib_row(&subjects, leaf, n, cutoff)?;
    }
    sort_rows(&subjects)?;
    walk_row(&subjects)?;
    println!("threads of the pool at the end: {}", subjects.ours.stats().workers);
    Ok(())
}

fn row(name: &str, rayon: Duration, others: &[Duration]) {
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    print!("{name:26} {:9.2}", millis(rayon));
    for other in others {
        print!(" {:8.2} ({:5.2})", millis(*other), other.as_secs_f64() / rayon.as_secs_f64());
    }
    println!();
}

fn best<R: PartialEq>(expected: &R, mut run: impl FnMut() -> R) -> anyhow::Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let result = run();
        best = best.min(start.elapsed());
        anyhow::ensure!(result == *expected, "a wrong result");
    }
    Ok(best)
}

fn fib_row(subjects: &Subjects, leaf: &str, n: u64, cutoff: u64) -> anyhow::Result<()> {
    let expected = fib(n);
    let rayon = best(&expected, || subjects.rayon.install(|| fib_rayon(n, cutoff)))?;
    let joined = best(&expected, || {
        let root = subjects.ours.spawn(move || fib_join(n, cutoff)).expect("it is open");
        root.into_result(None).expect("a number")
    })?;
    let ours = best(&expected, || {
        let pool = Arc::clone(&subjects.ours);
        let root = subjects.ours.spawn(move || fib_ours(&pool, n, cutoff)).expect("it is open");
        root.into_result(None).expect("a number")
    })?;
    let tokio = best(&expected, || {
        subjects
            .tokio
            .block_on(async { tokio::spawn(fib_tokio(n, cutoff)).await.expect("a number") })
    })?;
    row(&format!("fib({n}), leaves of {leaf}"), rayon, &[joined, ours, tokio]);
    Ok(())
}

fn fib(n: u64) -> u64 {
    if black_box(n) < 2 { n } else { fib(n - 1) + fib(n - 2) }
}

fn fib_rayon(n: u64, cutoff: u64) -> u64 {
    if n < cutoff {
        return fib(n);
    }
    let (left, right) = rayon::join(|| fib_rayon(n - 1, cutoff), || fib_rayon(n - 2, cutoff));
    left + right
}

fn fib_join(n: u64, cutoff: u64) -> u64 {
    if n < cutoff {
        return fib(n);
    }
    let (left, right) = join(|| fib_join(n - 1, cutoff), || fib_join(n - 2, cutoff));
    left + right
}

fn fib_ours(pool: &Pool, n: u64, cutoff: u64) -> u64 {
    if n < cutoff {
        return fib(n);
    }
    let own = Arc::clone(pool);
    let left = pool.spawn(move || fib_ours(&own, n - 1, cutoff)).expect("it is open");
    let right = fib_ours(pool, n - 2, cutoff);
    left.into_result(None).expect("a number") + right
}

fn fib_tokio(n: u64, cutoff: u64) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        if n < cutoff {
            return fib(n);
        }
        let left = tokio::spawn(fib_tokio(n - 1, cutoff));
        let right = fib_tokio(n - 2, cutoff).await;
        left.await.expect("a number") + right
    })
}

/// Numbers in no order, and the same ones each time.
fn numbers() -> Vec<u64> {
    let mut state = 1_u64;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state ^ (state >> 29)
    };
    std::iter::repeat_with(next).take(NUMBERS).collect()
}

fn sort_rows(subjects: &Subjects) -> anyhow::Result<()> {
    let numbers = numbers();
    let mut sorted = numbers.clone();
    sorted.sort_unstable();
    let copies = || (0..ROUNDS).map(|_| numbers.clone()).collect::<Vec<_>>();

    let mut left = copies();
    let rayon = best(&sorted, || {
        let mut numbers = left.pop().expect("one for each round");
        subjects.rayon.install(|| sort_rayon(&mut numbers));
        numbers
    })?;
    let mut left = copies();
    let joined = best(&sorted, || {
        let mut numbers = left.pop().expect("one for each round");
        let root = subjects.ours.spawn(move || {
            sort_join(&mut numbers);
            numbers
        });
        root.expect("it is open").into_result(None).expect("sorted")
    })?;
    let mut left = copies();
    let ours = best(&sorted, || {
        let (pool, numbers) = (Arc::clone(&subjects.ours), left.pop().expect("one for each round"));
        let root = subjects.ours.spawn(move || sort_ours(&pool, numbers)).expect("it is open");
        root.into_result(None).expect("sorted")
    })?;
    row("quicksort", rayon, &[joined, ours]);
    let mut left = copies();
    let joined = best(&sorted, || {
        let mut numbers = left.pop().expect("one for each round");
        ThreadPoolExecutor::builder()
            .max_workers(WORKERS)
            .scope(|scope| {
                let root = scope.spawn(|| sort_join(&mut numbers)).expect("it is open");
                root.into_result(None).expect("sorted");
            })
            .expect("a pool");
        numbers
    })?;
    let mut left = copies();
    let ours = best(&sorted, || {
        let mut numbers = left.pop().expect("one for each round");
        ThreadPoolExecutor::builder()
            .max_workers(WORKERS)
            .scope(|scope| {
                let (own, numbers) = (scope.clone(), &mut numbers);
                let root = scope.spawn(move || sort_scope(&own, numbers)).expect("it is open");
                root.into_result(None).expect("sorted");
            })
            .expect("a pool");
        numbers
    })?;
    row("quicksort in a new scope", rayon, &[joined, ours]);
    Ok(())
}

/// Where the second part begins.
fn partition(numbers: &mut [u64]) -> usize {
    let (first, middle, last) =
        (numbers[0], numbers[numbers.len() / 2], numbers[numbers.len() - 1]);
    let pivot = first.max(middle).min(last).max(first.min(middle));
    let mut less = 0;
    for at in 0..numbers.len() {
        if numbers[at] < pivot {
            numbers.swap(at, less);
            less += 1;
        }
    }
    less.clamp(1, numbers.len() - 1)
}

fn sort_rayon(numbers: &mut [u64]) {
    if numbers.len() < SORTED_ALONE {
        return numbers.sort_unstable();
    }
    let middle = partition(numbers);
    let (low, high) = numbers.split_at_mut(middle);
    rayon::join(|| sort_rayon(low), || sort_rayon(high));
}

fn sort_join(numbers: &mut [u64]) {
    if numbers.len() < SORTED_ALONE {
        return numbers.sort_unstable();
    }
    let middle = partition(numbers);
    let (low, high) = numbers.split_at_mut(middle);
    join(|| sort_join(low), || sort_join(high));
}

fn sort_ours(pool: &Pool, mut numbers: Vec<u64>) -> Vec<u64> {
    if numbers.len() < SORTED_ALONE {
        numbers.sort_unstable();
        return numbers;
    }
    let middle = partition(&mut numbers);
    let high = numbers.split_off(middle);
    let own = Arc::clone(pool);
    let high = pool.spawn(move || sort_ours(&own, high)).expect("it is open");
    let mut low = sort_ours(pool, numbers);
    low.append(&mut high.into_result(None).expect("sorted"));
    low
}

fn sort_scope<'scope>(scope: &Scope<'scope, '_>, numbers: &'scope mut [u64]) {
    if numbers.len() < SORTED_ALONE {
        return numbers.sort_unstable();
    }
    let middle = partition(numbers);
    let (low, high) = numbers.split_at_mut(middle);
    let own = scope.clone();
    let high = scope.spawn(move || sort_scope(&own, high)).expect("it is open");
    sort_scope(scope, low);
    high.into_result(None).expect("sorted");
}

fn walk_row(subjects: &Subjects) -> anyhow::Result<()> {
    let root = std::env::temp_dir().join(format!("manyhands-bench-nested-{}", std::process::id()));
    plant(&root, 3)?;
    let walked = walk(subjects, &root);
    fs::remove_dir_all(&root)?;
    walked
}

fn walk(subjects: &Subjects, root: &Path) -> anyhow::Result<()> {
    let expected = 5 * (1 + 12 + 144 + 1728);
    let rayon = best(&expected, || subjects.rayon.install(|| walk_rayon(root)))?;
    let joined = best(&expected, || {
        let root = root.to_owned();
        let root = subjects.ours.spawn(move || walk_join(&[root])).expect("it is open");
        root.into_result(None).expect("a number")
    })?;
    let ours = best(&expected, || {
        let (pool, root) = (Arc::clone(&subjects.ours), root.to_owned());
        let root = subjects.ours.spawn(move || walk_ours(&pool, &root)).expect("it is open");
        root.into_result(None).expect("a number")
    })?;
    let tokio = best(&expected, || {
        let root = walk_tokio(root.to_owned());
        subjects.tokio.block_on(async { tokio::spawn(root).await.expect("a number") })
    })?;
    row("1,885 folders", rayon, &[joined, ours, tokio]);
    Ok(())
}

fn plant(folder: &Path, deep: u32) -> anyhow::Result<()> {
    fs::create_dir(folder)?;
    for file in 0..5 {
        fs::write(folder.join(format!("file {file}")), "")?;
    }
    for below in 0..if deep > 0 { 12 } else { 0 } {
        plant(&folder.join(format!("{below}")), deep - 1)?;
    }
    Ok(())
}

/// The folders in a folder, and how many files.
fn list(folder: &Path) -> (Vec<PathBuf>, u64) {
    let (mut folders, mut files) = (Vec::new(), 0);
    for entry in fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        if entry.file_type().expect("a type").is_dir() {
            folders.push(entry.path());
        } else {
            files += 1;
        }
    }
    (folders, files)
}

fn walk_rayon(folder: &Path) -> u64 {
    let (folders, files) = list(folder);
    files + folders.into_par_iter().map(|below| walk_rayon(&below)).sum::<u64>()
}

fn walk_join(folders: &[PathBuf]) -> u64 {
    match folders {
        [] => 0,
        [folder] => {
            let (folders, files) = list(folder);
            files + walk_join(&folders)
        }
        _ => {
            let (some, others) = folders.split_at(folders.len() / 2);
            let (some, others) = join(|| walk_join(some), || walk_join(others));
            some + others
        }
    }
}

fn walk_ours(pool: &Pool, folder: &Path) -> u64 {
    let (folders, files) = list(folder);
    let submit = |folder: PathBuf| {
        let own = Arc::clone(pool);
        pool.spawn(move || walk_ours(&own, &folder)).expect("it is open")
    };
    let below: Vec<_> = folders.into_iter().map(submit).collect();
    let each = below.into_iter().map(|below| below.into_result(None).expect("a number"));
    files + each.sum::<u64>()
}

fn walk_tokio(folder: PathBuf) -> Pin<Box<dyn Future<Output = u64> + Send>> {
    Box::pin(async move {
        let (folders, mut files) = list(&folder);
        let below: Vec<_> =
            folders.into_iter().map(|below| tokio::spawn(walk_tokio(below))).collect();
        for below in below {
            files += below.await.expect("a number");
        }
        files
    })
}
