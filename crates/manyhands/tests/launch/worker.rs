//! What a worker of these tests does: its first argument says how it is born, its requests what it
//! does then.

use std::fs;
use std::io::Read;
use std::process::{Command, exit};
use std::thread;
use std::time::Duration;

use manyhands::process::birth::{Arrival, MARK, arrive};
use manyhands::process::link::WorkerLink;
use manyhands::process::link::socket::SocketWorkerLink;

/// The build of parent and worker.
pub(crate) const BUILD: u64 = 7;

const LIMIT: Duration = Duration::from_secs(50);

pub(crate) fn run() -> ! {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => be_born(BUILD, LIMIT),
        Some("serve-in-a-thread") => {
            let served = thread::spawn(|| be_born(BUILD, LIMIT)).join();
            unreachable!("{served:?}")
        }
        Some("another-build") => be_born(BUILD + 1, LIMIT),
        Some("impatient") => be_born(BUILD, Duration::from_millis(20)),
        Some("dies-early") => {
            for line in 1..=50 {
                eprintln!("line {line}");
            }
            eprint!("and an end");
            exit(7)
        }
        Some("aborts-early") => std::process::abort(),
        Some("talks-nonsense") => {
            rustix::io::write(rustix::stdio::stdin(), b"I am no worker").unwrap();
            thread::sleep(LIMIT);
            exit(1)
        }
        Some("late") => {
            let mark = std::env::var(MARK).unwrap();
            let parent = mark.split('.').nth(1).unwrap().parse().unwrap();
            while std::os::unix::process::parent_id() == parent {
                thread::sleep(Duration::from_millis(1));
            }
            println!("{}", arrive(BUILD, LIMIT).unwrap_err());
            exit(0)
        }
        other => panic!("no such worker: {other:?}"),
    }
}

fn be_born(build: u64, limit: Duration) -> ! {
    println!("printed too early");
    let Arrival { hello, fds, reply } = match arrive(build, limit) {
        Ok(arrival) => arrival.expect("this is a worker"),
        Err(error) => {
            eprintln!("{error}");
            exit(4)
        }
    };
    if let Some(text) = hello.initializer.strip_prefix(b"print ") {
        eprintln!("{}", String::from_utf8_lossy(text));
    }
    if let Some(reason) = hello.initializer.strip_prefix(b"fail ") {
        reply.refuse(&String::from_utf8_lossy(reason)).unwrap();
        exit(3);
    }
    for (number, fd) in fds.iter().enumerate() {
        let text = format!("{number}: {} bytes", hello.initializer.len());
        rustix::io::write(fd, text.as_bytes()).unwrap();
    }
    drop(fds);
    let mut link = SocketWorkerLink::new(reply.ready().unwrap());
    loop {
        let Ok(Some(request)) = link.claim(None) else { exit(0) };
        let request = String::from_utf8_lossy(request).into_owned();
        let answer = answer(&request);
        link.answer(&[answer.as_bytes()]).unwrap();
    }
}

fn answer(request: &str) -> String {
    let (verb, rest) = request.split_once(' ').unwrap_or((request, ""));
    match verb {
        "echo" => rest.to_owned(),
        "exit" => exit(rest.parse().unwrap()),
        "abort" => std::process::abort(),
        "sleep" => loop {
            thread::sleep(LIMIT);
        },
        "print" => {
            println!("{rest}");
            eprintln!("{rest}, loudly");
            "printed".to_owned()
        }
        "stdin" => {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).unwrap();
            format!("{text:?}")
        }
        "env" => std::env::var(rest).unwrap_or_else(|_| "unset".to_owned()),
        "names" => {
            let mut names: Vec<_> = std::env::vars().map(|(name, _)| name).collect();
            names.sort();
            names.join(" ")
        }
        "cwd" => std::env::current_dir().unwrap().display().to_string(),
        "args" => std::env::args().collect::<Vec<_>>().join(" "),
        "name" => fs::read_to_string("/proc/self/comm").unwrap().trim().to_owned(),
        "group" => {
            let own = rustix::process::getpgrp() == rustix::process::getpid();
            own.to_string()
        }
        "fds" => {
            let fds: Vec<_> = open_fds().iter().map(|(fd, to)| format!("{fd} {to}")).collect();
            fds.join("\n")
        }
        "child" => {
            let exe = std::env::current_exe().unwrap();
            let child = Command::new(exe).arg("am-i-a-worker").output().unwrap();
            String::from_utf8(child.stdout).unwrap()
        }
        _ => panic!("no such request: {request}"),
    }
}

/// Open descriptors and what they lead to, without the one that lists them.
pub(crate) fn open_fds() -> Vec<(i32, String)> {
    let mut fds: Vec<_> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| {
            let path = entry.unwrap().path();
            let to = fs::read_link(&path).ok()?.display().to_string();
            let fd = path.file_name()?.to_str()?.parse().ok()?;
            (!to.ends_with("/fd")).then_some((fd, to))
        })
        .collect();
    fds.sort_unstable();
    fds
}
