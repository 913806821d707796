//! What a worker is given and what it is not: environment, directory, descriptors, outputs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use manyhands::Exit;
use manyhands::process::launch::{Output, ProcessLauncher};

use crate::harness::tests;
use crate::manager::{bear, bear_with, launcher, pipe, read_now};
use crate::worker::open_fds;

tests![
    the_environment_is_what_the_options_say,
    the_directory_is_what_the_options_say,
    the_standard_input_is_empty,
    a_child_of_a_worker_is_no_worker,
    what_a_newborn_prints_is_passed_on_until_it_is_born,
    outputs_go_where_the_options_say,
    a_quiet_birth_prints_nothing,
    a_worker_has_no_descriptors_but_its_own,
    launching_leaves_no_descriptors_behind,
    a_program_whose_file_is_replaced_starts_itself,
];

fn with(options: impl FnOnce(&mut ProcessLauncher)) -> ProcessLauncher {
    let mut launcher = launcher("serve");
    options(&mut launcher);
    launcher
}

fn the_environment_is_what_the_options_say() {
    let home = std::env::var("PATH").unwrap();
    let set = |name: &str, value: &str| (name.into(), Some(value.into()));
    let env = vec![set("ADDED", "a"), set("TWICE", "1"), set("TWICE", "2"), ("HOME".into(), None)];
    let mut worker = bear_with(&mut with(|it| it.env = env), b"", Vec::new()).unwrap();
    for (name, value) in
        [("ADDED", "a"), ("TWICE", "2"), ("HOME", "unset"), ("PATH", &home), ("NEITHER", "unset")]
    {
        assert_eq!(worker.ask(&format!("env {name}")), value, "{name}");
    }
    let mut cleared = with(|it| {
        it.env_clear = true;
        it.env = vec![set("ADDED", "a")];
    });
    let mut worker = bear_with(&mut cleared, b"", Vec::new()).unwrap();
    assert_eq!(worker.ask("names"), "ADDED MANYHANDS_WORKER");
}

fn the_directory_is_what_the_options_say() {
    let own = std::env::current_dir().unwrap();
    assert_eq!(bear("serve", b"").unwrap().ask("cwd"), own.display().to_string());
    let mut launcher = with(|it| it.current_dir = Some("/".into()));
    assert_eq!(bear_with(&mut launcher, b"", Vec::new()).unwrap().ask("cwd"), "/");
}

fn the_standard_input_is_empty() {
    assert_eq!(bear("serve", b"").unwrap().ask("stdin"), "\"\"");
}

fn a_child_of_a_worker_is_no_worker() {
    let mut worker = bear("serve", b"").unwrap();
    assert_ne!(worker.ask("env MANYHANDS_WORKER"), "unset", "its children inherit the mark");
    assert_eq!(worker.ask("child"), "no\n");
}

fn what_a_newborn_prints_is_passed_on_until_it_is_born() {
    let (read, write) = pipe();
    let mut launcher = with(|it| it.stderr = Output::Descriptor(Arc::new(write)));
    let mut worker = bear_with(&mut launcher, b"print getting ready", Vec::new()).unwrap();
    worker.lines.drain();
    assert_eq!(worker.lines.text(), "getting ready");
    assert_eq!(worker.forwarded(), "getting ready\n");
    assert!(worker.lines.interest().is_none(), "the worker has let go of the pipe");
    worker.ask("print hello");
    assert_eq!(read_now(&read), "hello, loudly\n");
}

fn outputs_go_where_the_options_say() {
    let (read, write) = pipe();
    let write = Arc::new(write);
    let mut launcher = with(|it| {
        it.stdout = Output::Descriptor(Arc::clone(&write));
        it.stderr = Output::Null;
        it.quiet_birth = false;
    });
    let mut worker = bear_with(&mut launcher, b"", Vec::new()).unwrap();
    worker.ask("print hello");
    assert_eq!(read_now(&read), "printed too early\nhello\n");
    let fds = worker.ask("fds");
    assert!(fds.contains("2 /dev/null") && fds.contains("1 pipe:"), "{fds}");
}

fn a_quiet_birth_prints_nothing() {
    let (read, write) = pipe();
    let mut launcher = with(|it| {
        it.stdout = Output::Descriptor(Arc::new(write));
    });
    let mut worker = bear_with(&mut launcher, b"", Vec::new()).unwrap();
    worker.ask("print hello");
    assert_eq!(read_now(&read), "hello\n");
}

fn a_worker_has_no_descriptors_but_its_own() {
    // Open all the while, and none of the worker's business.
    let _ours = (pipe(), bear("serve", b"").unwrap(), bear("serve", b"").unwrap());
    let inherited: Vec<_> = open_fds().into_iter().filter(|(fd, _)| outlives_exec(*fd)).collect();
    let mut worker = bear("serve", b"").unwrap();
    let fds = worker.ask("fds");
    let own: Vec<(i32, &str)> = fds
        .lines()
        .map(|line| line.split_once(' ').unwrap())
        .map(|(fd, to)| (fd.parse().unwrap(), to))
        .filter(|(fd, to)| *fd < 3 || !inherited.iter().any(|(ours, at)| fd == ours && to == at))
        .collect();
    assert_eq!(own[0], (0, "/dev/null"));
    assert_eq!((own[1].0, own[2].0), (1, 2));
    let rest: Vec<_> = own[3..].iter().map(|(_, to)| to.split(':').next().unwrap()).collect();
    assert_eq!(rest, ["socket"], "the link");
}

const CLOEXEC: u32 = 0o2_000_000;

/// Descriptors that whoever started this test has left open for everybody.
fn outlives_exec(fd: i32) -> bool {
    let flags = fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap();
    let flags = flags.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    u32::from_str_radix(flags.trim(), 8).unwrap() & CLOEXEC == 0
}

fn launching_leaves_no_descriptors_behind() {
    let before = open_fds();
    for round in 0..200 {
        match round % 4 {
            0 => drop(bear("dies-early", b"").unwrap_err()),
            1 => drop(bear("serve", b"fail").unwrap()),
            2 => assert_eq!(bear("serve", b"").unwrap().end(), Exit::Code(0)),
            _ => drop(bear("serve", b"fail no").unwrap_err()),
        }
    }
    assert_eq!(open_fds(), before);
}

fn a_program_whose_file_is_replaced_starts_itself() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let path = directory.join(format!("program-{}", std::process::id()));
    fs::copy(std::env::current_exe().unwrap(), &path).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let mut replaced = Command::new(&path)
        .arg("replaces-itself")
        .stdin(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let status = replaced.wait().unwrap();
    fs::remove_file(&path).unwrap();
    assert!(status.success());
}

/// The program of the test above.
pub(crate) fn replaces_itself() {
    let path = std::env::current_exe().unwrap();
    fs::remove_file(&path).unwrap();
    fs::write(&path, "no program").unwrap();
    let mut worker = bear("serve", b"").unwrap();
    let name = path.display().to_string();
    assert_eq!(worker.ask("args"), format!("{name} serve"));
    let name = path.file_name().unwrap().to_str().unwrap();
    assert_eq!(worker.ask("name"), name[..name.len().min(15)], "what the system shows of it");
}
