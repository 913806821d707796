//! The rules, each with its test.

pub(crate) mod broken;
pub(crate) mod callbacks;
pub(crate) mod cancel;
pub(crate) mod end;
pub(crate) mod map;
pub(crate) mod nested;
pub(crate) mod outcome;
pub(crate) mod shutdown;
pub(crate) mod submit;
pub(crate) mod wait;

use crate::behaviour::Behaviour;

/// In the order of a task's life.
pub(crate) const ALL: &[&[Behaviour]] = &[
    submit::ALL,
    outcome::ALL,
    cancel::ALL,
    callbacks::ALL,
    map::ALL,
    wait::ALL,
    shutdown::ALL,
    end::ALL,
    broken::ALL,
    nested::ALL,
];

/// Where most rules come from.
const PEP: &str = "PEP 3148";
const DOCS: &str = "the documentation of `concurrent.futures`";
const TRAIT: &str = "the documentation of `manyhands::Executor`";
