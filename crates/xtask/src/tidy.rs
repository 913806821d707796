//! The house rules that no other tool checks: every file says what it is for and stays short.

use std::path::Path;

use crate::shell::Source;

/// Files that may pass `MOST_LINES`, each with its reason.
pub(crate) const LONG_FOR_A_REASON: &[(&str, &str)] = &[
    ("crates/manyhands/src/block.rs", "documentation with examples makes up half of it"),
    (
        "crates/manyhands/src/executor.rs",
        "documentation with examples makes up more than half of it",
    ),
    ("crates/manyhands/src/future/mod.rs", "documentation with examples makes up half of it"),
    (
        "crates/manyhands-python/src/future.rs",
        "one Python class, whose methods PyO3 wants in one block",
    ),
    ("crates/manyhands/src/loom_models/pool.rs", "a model for each race, side by side"),
    ("crates/manyhands/src/map.rs", "documentation with examples makes up half of it"),
    ("crates/manyhands/src/promise.rs", "documentation with examples makes up half of it"),
    ("crates/manyhands/src/thread/pool/mod.rs", "documentation with examples makes up half of it"),
    ("crates/manyhands/tests/model.rs", "the model and the real thing, step by step side by side"),
];

const MOST_LINES: usize = 400;

/// What is wrong with `sources`, and with the list of exceptions itself: it may only hold files
/// that need it.
pub(crate) fn complaints(sources: &[Source], long_for_a_reason: &[(&str, &str)]) -> Vec<String> {
    let mut complaints = Vec::new();
    let excepted = |path: &str| long_for_a_reason.iter().any(|(long, _)| *long == path);
    let mut long = Vec::new();
    for Source { path, text } in sources {
        let is_python = Path::new(path).extension().is_some_and(|is| is == "py");
        let opening = if is_python { "\"\"\"" } else { "//!" };
        if !text.starts_with(opening) {
            complaints.push(format!("{path}: open it with `{opening}` and what the file is for"));
        }
        let lines = text.lines().count();
        if lines > MOST_LINES {
            long.push(path.as_str());
            if !excepted(path) {
                complaints.push(format!(
                    "{path}: {lines} lines, more than {MOST_LINES}: split it, or list it with a \
                     reason in crates/xtask/src/tidy.rs"
                ));
            }
        }
    }
    for (path, _) in long_for_a_reason {
        if !long.contains(path) {
            complaints.push(format!(
                "{path}: listed as a long file in crates/xtask/src/tidy.rs but is none: unlist it"
            ));
        }
    }
    complaints
}

#[cfg(test)]
mod tests {
    use super::{MOST_LINES, complaints};
    use crate::shell::Source;

    fn source(path: &str, lines: usize) -> Source {
        Source { path: path.to_owned(), text: "//! Why.\n".repeat(lines) }
    }

    #[test]
    fn a_short_file_that_says_what_it_is_for_is_tidy() {
        assert!(complaints(&[source("a.rs", 1), source("b.rs", MOST_LINES)], &[]).is_empty());
    }

    #[test]
    fn a_file_must_open_with_its_purpose() {
        for text in ["", "use std::fmt;\n//! Late.\n", "\n//! Late.\n", "// Not a doc comment.\n"] {
            let source = Source { path: "a.rs".to_owned(), text: text.to_owned() };
            let found = complaints(&[source], &[]);
            assert!(found.len() == 1 && found[0].starts_with("a.rs: open it"), "{found:?}");
        }
    }

    #[test]
    fn a_python_file_opens_with_a_docstring() {
        let opened = |with: &str| Source { path: "a.py".to_owned(), text: with.to_owned() };
        assert!(complaints(&[opened("\"\"\"Why.\"\"\"\n")], &[]).is_empty());
        for text in ["", "//! Why.\n", "import os\n\"\"\"Late.\"\"\"\n"] {
            assert_eq!(complaints(&[opened(text)], &[]).len(), 1, "{text:?}");
        }
    }

    #[test]
    fn a_long_file_needs_a_listed_reason() {
        let long = [source("a.rs", MOST_LINES + 1)];
        let found = complaints(&long, &[]);
        assert!(found.len() == 1 && found[0].starts_with("a.rs: 401 lines"), "{found:?}");
        assert!(complaints(&long, &[("a.rs", "a table")]).is_empty());
    }

    #[test]
    fn the_list_of_long_files_only_shrinks() {
        let found = complaints(&[source("a.rs", 3)], &[("a.rs", "was long"), ("gone.rs", "moved")]);
        assert_eq!(found.len(), 2, "{found:?}");
    }
}
