//! `Behaviour`: one rule, and how it is tested: in a thread of its own, with a watchdog.

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use crate::place::Place;
use crate::rules;
use crate::subject::Subject;
use crate::trial::Trial;

/// One rule that executors obey.
#[derive(Clone, Copy)]
pub struct Behaviour {
    name: &'static str,
    needs: &'static [Need],
    rule: &'static str,
    source: &'static str,
    test: fn(&Trial),
}

/// What a behaviour is about, and some executors do not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Need {
    /// Tasks run in the thread that submits them.
    InCaller,
    /// Tasks run elsewhere than in the thread that submits them.
    Elsewhere,
    /// Tasks wait their turn, when so many run as there are workers.
    Queue,
    /// Closures can be tasks.
    Closures,
    /// Only functions that were declared can be tasks.
    FunctionsOnly,
    /// The executor can break.
    Breaks,
    /// Tasks may wait for each other, whatever the number of workers.
    NestedWaits,
}

/// What became of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The executor behaves so.
    Passed,
    /// The behaviour is about something that the executor does not have.
    DoesNotApply(Need),
}

/// An executor does not behave as it should.
#[derive(Clone, Debug, thiserror::Error)]
#[error(
    "the executor breaks a rule: {rule} ({source_of_rule})\n  {what}\n  (behaviour `{behaviour}`)"
)]
pub struct Failure {
    /// The behaviour's name.
    pub behaviour: &'static str,
    /// The rule.
    pub rule: &'static str,
    /// Where the rule comes from.
    pub source_of_rule: &'static str,
    /// What was expected, and what happened.
    pub what: String,
}

impl Behaviour {
    pub(crate) const fn new(
        name: &'static str,
        needs: &'static [Need],
        rule: &'static str,
        source: &'static str,
        test: fn(&Trial),
    ) -> Self {
        Self { name, needs, rule, source, test }
    }

    /// Its name, which is that of its test.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What an executor must have for the rule to apply.
    pub fn needs(&self) -> &'static [Need] {
        self.needs
    }

    /// The rule, as a sentence.
    pub fn rule(&self) -> &'static str {
        self.rule
    }

    /// Where the rule comes from: the documentation of `concurrent.futures`, or our own.
    pub fn source(&self) -> &'static str {
        self.source
    }

    /// Tests it on the subject. A test that hangs is left behind, with its thread.
    ///
    /// # Errors
    /// [`Failure`], if the executor does not obey the rule.
    ///
    /// ```
    /// use manyhands::InlineExecutor;
    /// use manyhands_conform::{Subject, Verdict, behaviours};
    ///
    /// let subject = Subject::inline(InlineExecutor::new);
    /// for behaviour in behaviours() {
    ///     if let Verdict::DoesNotApply(need) = behaviour.test(&subject)? {
    ///         println!("{}: {need:?}", behaviour.name());
    ///     }
    /// }
    /// # Ok::<(), manyhands_conform::Failure>(())
    /// ```
    pub fn test(&self, subject: &Subject) -> Result<Verdict, Failure> {
        if let Some(&need) = self.needs.iter().find(|&&need| !subject.meets(need)) {
            return Ok(Verdict::DoesNotApply(need));
        }
        let watchdog = subject.patience.saturating_mul(3);
        self.watched(subject.clone(), watchdog).map_err(|what| Failure {
            behaviour: self.name,
            rule: self.rule,
            source_of_rule: self.source,
            what,
        })?;
        Ok(Verdict::Passed)
    }

    fn watched(self, subject: Subject, watchdog: Duration) -> Result<(), String> {
        let place = Place::fresh();
        let trial = Trial::new(subject, place.clone());
        let (sender, outcome) = mpsc::channel();
        let test = move || {
            let outcome = catch_unwind(AssertUnwindSafe(|| (self.test)(&trial)));
            // Before the executors are dropped, which may hang if the test has failed.
            let _ = sender.send(outcome.map_err(|payload| message(&*payload)));
            drop(trial);
            drop(sender);
        };
        let thread = thread::Builder::new().name(self.name.to_owned()).spawn(test);
        thread.map_err(|error| format!("a thread for the test: {error}"))?;
        let hang =
            |what| Err(format!("expected {what} to return, but it hangs: {watchdog:?} so far"));
        let outcome_in_time = outcome.recv_timeout(watchdog);
        place.remove(); // which also ends tasks that were held
        outcome_in_time.unwrap_or_else(|_| hang("each call"))?;
        match outcome.recv_timeout(watchdog) {
            Err(RecvTimeoutError::Timeout) => hang("the executor's drop"),
            _ => Ok(()),
        }
    }
}

fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().cloned();
    text.or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()))
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

impl fmt::Debug for Behaviour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Behaviour")
            .field("name", &self.name)
            .field("needs", &self.needs)
            .finish_non_exhaustive()
    }
}

/// All behaviours, in the order of a task's life.
///
/// ```
/// for behaviour in manyhands_conform::behaviours() {
///     println!("{}: {} ({})", behaviour.name(), behaviour.rule(), behaviour.source());
/// }
/// ```
pub fn behaviours() -> impl Iterator<Item = &'static Behaviour> {
    rules::ALL.iter().copied().flatten()
}

/// Tests one behaviour, by its name; for [`conformance!`](crate::conformance) and tests by hand.
///
/// # Panics
/// With the [`Failure`], if the executor does not obey the rule; and if there is no such behaviour.
///
/// ```
/// use manyhands::InlineExecutor;
/// use manyhands_conform::{Subject, check};
///
/// check("a_closure_is_called", &Subject::inline(InlineExecutor::new));
/// ```
#[track_caller]
pub fn check(name: &str, subject: &Subject) {
    let found = behaviours().find(|behaviour| behaviour.name == name);
    let behaviour = found.unwrap_or_else(|| panic!("there is no behaviour `{name}`"));
    match behaviour.test(subject) {
        Ok(Verdict::Passed) => (),
        Ok(Verdict::DoesNotApply(need)) => println!("does not apply: it needs {need:?}"),
        Err(failure) => panic!("{failure}"),
    }
}

/// Tests all behaviours, and returns those that the executor does not have.
///
/// ```
/// use manyhands::ThreadPoolExecutor;
/// use manyhands_conform::{Subject, check_all};
///
/// let pool = Subject::pool(2, || ThreadPoolExecutor::new(2).unwrap());
/// assert!(check_all(&pool).is_empty());
/// ```
#[must_use = "no failure is reported otherwise"]
pub fn check_all(subject: &Subject) -> Vec<Failure> {
    behaviours().filter_map(|behaviour| behaviour.test(subject).err()).collect()
}
