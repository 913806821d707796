//! Named faults: finding their names, and judging what the models said of one.

use crate::guard;

/// What the models made of a fault.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Caught(String),
    Missed,
    /// They did not build, or hung: no proof either way.
    Unproved,
}

/// The names that `source` asks for; prose about them does not count.
pub(crate) fn names(source: &str) -> Vec<String> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(|line| line.split("sabotaged(\"").skip(1)).filter_map(named).collect()
}

/// The name before `")`.
fn named(rest: &str) -> Option<String> {
    let (name, _) = rest.split_once("\")")?;
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    (!name.is_empty() && name.chars().all(is_word)).then(|| name.to_owned())
}

/// Judges the models, run with a fault, by how they ended and what they said.
pub(crate) fn verdict(passed: bool, said: &str) -> Verdict {
    if passed {
        return Verdict::Missed;
    }
    let failed: Vec<&str> = said
        .lines()
        .filter_map(|line| line.strip_prefix("test ")?.strip_suffix(" ... FAILED"))
        .collect();
    if !failed.is_empty() {
        Verdict::Caught(failed.join(", "))
    } else if said.contains(guard::DIED) {
        // A panic while another unwinds ends the whole binary before libtest can name the test.
        Verdict::Caught("a model that aborted".to_owned())
    } else {
        Verdict::Unproved
    }
}

#[cfg(test)]
mod tests {
    use super::{Verdict, names, verdict};

    #[test]
    fn names_are_found_in_conditions() {
        let source = "if !sabotaged(\"lost_wake\") {\n} else if crate::sync::sabotaged(\"late-free\") {\n\
                      x = sabotaged(\"a\") || sabotaged(\"b\");\n";
        assert_eq!(names(source), ["lost_wake", "late-free", "a", "b"]);
    }

    #[test]
    fn prose_and_other_strings_are_not_names() {
        let source = "//! Behind `sabotaged(\"name\")`.\n    // sabotaged(\"x\")\n\
                      fn sabotaged(fault: &str);\nlet sabotage = \"word\";\nsabotaged(\"two words\");\n";
        assert!(names(source).is_empty(), "{:?}", names(source));
    }

    #[test]
    fn a_failing_model_has_caught_the_fault() {
        let said = "test a::b ... FAILED\ntest c ... ok\nerror: test failed, to rerun pass `--lib`";
        assert_eq!(verdict(false, said), Verdict::Caught("a::b".to_owned()));
    }

    #[test]
    fn an_abort_is_a_failure_too() {
        let said = "running 1 test\nxtask guard: died x: signal: 6 (SIGABRT)\nerror: test failed";
        assert!(matches!(verdict(false, said), Verdict::Caught(_)));
    }

    #[test]
    fn passing_models_have_missed_the_fault() {
        assert_eq!(verdict(true, "test a ... ok"), Verdict::Missed);
    }

    #[test]
    fn a_build_that_breaks_or_hangs_proves_nothing() {
        assert_eq!(verdict(false, "error: could not compile `manyhands`"), Verdict::Unproved);
        let misused = "error: Unrecognized option: 'x'\nerror: test failed, to rerun pass `--lib`";
        assert_eq!(verdict(false, misused), Verdict::Unproved);
        let hung = "xtask guard: killed x after 600 s\nerror: test failed, to rerun pass `--lib`";
        assert_eq!(verdict(false, hung), Verdict::Unproved);
    }
}
