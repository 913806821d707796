//! `search` finds the same in all five forms and on every executor, and a missing file spoils
//! nothing but itself.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use assert_cmd::cargo::cargo_bin_cmd;
use tempfile::TempDir;

/// The article's three files after one that is not there, so sorted by name.
struct Files {
    folder: TempDir,
    paths: Vec<PathBuf>,
}

impl Files {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the files");
        let texts = [
            ("missing.txt", None),
            ("test1.txt", Some("first line\nthen Synergy, and Synergy\n")),
            ("test2.txt", Some("no such word, only synergy\n")),
            ("test3.txt", Some("Synergy\n")),
        ];
        let paths = texts.map(|(name, text)| {
            let path = folder.path().join(name);
            if let Some(text) = text {
                fs::write(&path, text).expect("the folder can be written");
            }
            path
        });
        Self { folder, paths: paths.to_vec() }
    }

    /// What the program says of the files, by name, in the order it says it.
    fn search(&self, form: &str, executor: &str) -> Vec<String> {
        let run = cargo_bin_cmd!("search")
            .timeout(Duration::from_secs(100))
            .args(["--form", form, "--executor", executor, "Synergy"])
            .args(&self.paths)
            .assert()
            .success();
        let output =
            String::from_utf8(run.get_output().stdout.clone()).expect("the output is text");
        let folder = format!("{}/", self.folder.path().display());
        output.lines().map(|line| line.replace(&folder, "")).collect()
    }
}

/// Checks what is said of each file, in their order.
fn assert_found(said: &[String]) {
    assert_eq!(said.len(), 4, "{said:?}");
    assert!(said[0].starts_with("missing.txt: generated an exception: "), "{said:?}");
    assert!(said[0].contains("os error 2"), "{said:?}");
    assert_eq!(said[1], "test1.txt: found at line 2, column 6");
    assert_eq!(said[2], "test2.txt: not found");
    assert_eq!(said[3], "test3.txt: found at line 1, column 1");
}

#[test]
fn forms_that_keep_the_order_of_the_files() {
    let files = Files::new();
    for form in ["submit", "map"] {
        for executor in ["threads", "processes", "inline"] {
            assert_found(&files.search(form, executor));
        }
    }
}

#[test]
fn forms_that_take_what_is_done() {
    let files = Files::new();
    for form in ["callbacks", "wait", "as_completed"] {
        for executor in ["threads", "processes", "inline"] {
            let mut said = files.search(form, executor);
            said.sort();
            assert_found(&said);
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_file_whose_name_is_not_text_is_searched_all_the_same() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    let mut files = Files::new();
    let path = files.folder.path().join(OsStr::from_bytes(b"\xff.txt"));
    fs::write(&path, "Synergy\n").expect("the folder can be written");
    files.paths = vec![path];
    for form in ["submit", "map"] {
        for executor in ["threads", "processes", "inline"] {
            let said = files.search(form, executor);
            assert!(
                said[0].ends_with(": found at line 1, column 1"),
                "{form} {executor}: {said:?}"
            );
        }
    }
}

#[test]
fn all_forms_report_a_failure_in_the_same_words() {
    let files = Files::new();
    let said = |form| {
        let mut said = files.search(form, "threads");
        said.sort();
        said
    };
    let expected = said("submit");
    for form in ["callbacks", "map", "wait", "as_completed"] {
        assert_eq!(said(form), expected, "{form}");
    }
}
