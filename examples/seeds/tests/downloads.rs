//! `downloads` against a server of the test's own: good pages, a missing page, a page that never
//! comes and a host that does not exist, in both forms and on every executor that can run them.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use assert_cmd::Command;
use assert_cmd::cargo::cargo_bin_cmd;

const NOWHERE: &str = "http://some-made-up-domain.invalid/";

/// Serves `/<n>` as a page of n bytes and never answers `/hang`.
fn serve() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port on the loopback interface");
    let address = listener.local_addr().expect("a listener has an address");
    thread::spawn(move || {
        let mut unanswered = Vec::new();
        for stream in listener.incoming().flatten() {
            unanswered.extend(answer(stream));
        }
    });
    format!("http://{address}")
}

/// Answers one request, or gives the connection back: while it is open, the client waits.
fn answer(mut stream: TcpStream) -> Option<TcpStream> {
    let mut head = BufReader::new(&stream).lines().map_while(Result::ok);
    let path = head.next()?.split(' ').nth(1)?.to_owned();
    head.by_ref().take_while(|line| !line.is_empty()).for_each(drop);
    if path == "/hang" {
        return Some(stream);
    }
    let (status, length) = match path[1..].parse() {
        Ok(length) => ("200 OK", length),
        Err(_) => ("404 Not Found", 0),
    };
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    // A client that has gone needs no answer.
    let _ = stream.write_all(&[head.as_bytes(), &vec![b'x'; length]].concat());
    None
}

/// What the program says of each URL, and the URLs in the order it speaks of them.
fn download(
    form: &str,
    executor: &str,
    urls: &[String],
) -> (BTreeMap<String, String>, Vec<String>) {
    let run = downloads(form, executor, urls).assert().success();
    let output = String::from_utf8(run.get_output().stdout.clone()).expect("the output is text");
    let said = output.lines().map(|line| {
        let (url, rest) = line[1..].split_once("' ").expect("each line opens with a URL");
        (url.to_owned(), rest.to_owned())
    });
    (said.clone().collect(), said.map(|(url, _)| url).collect())
}

/// The program, which is killed if it hangs.
fn downloads(form: &str, executor: &str, urls: &[String]) -> Command {
    let mut command = cargo_bin_cmd!("downloads");
    for proxy in
        ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY"]
    {
        command.env_remove(proxy);
    }
    command
        .timeout(Duration::from_secs(100))
        .args(["--form", form, "--executor", executor, "--timeout", "3"])
        .args(urls);
    command
}

#[test]
fn every_form_and_executor_reports_every_page() {
    let server = serve();
    let url = |path: &str| format!("{server}{path}");
    let urls = [url("/13"), url("/hang"), NOWHERE.to_owned(), url("/50000"), url("/gone")];
    let everywhere = ["threads", "inline", "processes"];
    for (form, executors) in
        [("as_completed", &everywhere[..]), ("run_to_futures", &everywhere[..2])]
    {
        for executor in executors {
            let (said, order) = download(form, executor, &urls);
            assert_eq!(said.len(), urls.len(), "{said:?}");
            assert_eq!(said[&urls[0]], "page is 13 bytes");
            assert_eq!(said[&urls[3]], "page is 50000 bytes");
            for (failed, why) in [(&urls[1], "timeout"), (&urls[2], ""), (&urls[4], "404")] {
                let message = &said[failed];
                assert!(message.starts_with("generated an exception: "), "{failed}: {message}");
                assert!(message.contains(why), "{failed}: {message}");
            }
            if form == "run_to_futures" {
                assert_eq!(order, urls);
            }
        }
    }
}

#[test]
fn a_page_that_never_comes_holds_up_no_other() {
    let server = serve();
    let urls = [format!("{server}/hang"), format!("{server}/1")];
    for executor in ["threads", "processes"] {
        let (_, order) = download("as_completed", executor, &urls);
        assert_eq!(order, [urls[1].clone(), urls[0].clone()], "{executor}");
    }
}

#[test]
fn closures_are_refused_by_processes_with_a_reason() {
    let run = downloads("run_to_futures", "processes", &[NOWHERE.to_owned()]).assert().code(1);
    let message = String::from_utf8_lossy(&run.get_output().stderr).into_owned();
    assert!(message.contains("a closure cannot cross"), "{message}");
}

#[test]
fn a_timeout_must_be_a_number_of_seconds() {
    let mut command = cargo_bin_cmd!("downloads");
    command.timeout(Duration::from_secs(100)).args(["--timeout", "-1", NOWHERE]).assert().failure();
}
