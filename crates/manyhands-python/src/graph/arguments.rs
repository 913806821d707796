//! What a task of a graph is called with: nodes stand for their values, also inside lists, tuples and dicts.

use pyo3::exceptions::PyValueError;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};

use super::node::{Entry, PyNode, Work};
use crate::call;
use crate::task::{self, Outcome};

/// Arguments by place.
pub(super) enum Arguments {
    /// The values of so many that the task depends on, the first, in that order.
    Values(usize),
    /// As they are, with no node among them.
    Plain(Py<PyTuple>),
    Mixed(Box<[Template]>),
}

/// Arguments by name.
pub(super) enum Kwargs {
    Plain(Py<PyDict>),
    Mixed(Items),
}

/// An argument, or a part of one.
pub(super) enum Template {
    Object(Py<PyAny>),
    Node(u32),
    List(Vec<Template>),
    Tuple(Vec<Template>),
    Dict(Items),
}

type Items = Vec<(Py<PyAny>, Template)>;

/// How deep in lists of lists a node is looked for. One that contains itself has no bottom.
const DEEPEST: usize = 16;

/// Reads the arguments of a task of this graph: the nodes that it depends on, and what to call it with.
pub(super) fn read(
    graph: u32,
    args: &Bound<'_, PyTuple>,
    kwargs: Option<&Bound<'_, PyDict>>,
) -> PyResult<(Vec<u32>, Arguments, Option<Box<Kwargs>>)> {
    let mut reader = Reader { graph, deps: Vec::new() };
    let arguments = match reader.all(|| args.iter(), 0)? {
        None => Arguments::Plain(args.clone().unbind()),
        Some(all) if all.iter().all(|one| matches!(one, Template::Node(_))) => {
            Arguments::Values(all.len())
        }
        Some(all) => Arguments::Mixed(all.into_boxed_slice()),
    };
    let kwargs = match kwargs {
        Some(kwargs) if !kwargs.is_empty() => Some(Box::new(match reader.items(kwargs, 0)? {
            None => Kwargs::Plain(kwargs.copy()?.unbind()),
            Some(items) => Kwargs::Mixed(items),
        })),
        _ => None,
    };
    Ok((reader.deps, arguments, kwargs))
}

struct Reader {
    graph: u32,
    deps: Vec<u32>,
}

impl Reader {
    /// `None`: no node is in it.
    fn one(&mut self, arg: &Bound<'_, PyAny>, depth: usize) -> PyResult<Option<Template>> {
        if let Ok(node) = arg.cast_exact::<PyNode>() {
            let index = own(self.graph, node)?;
            self.deps.push(index);
            Ok(Some(Template::Node(index)))
        } else if depth == DEEPEST {
            Ok(None)
        } else if let Ok(list) = arg.cast_exact::<PyList>() {
            Ok(self.all(|| list.iter(), depth + 1)?.map(Template::List))
        } else if let Ok(tuple) = arg.cast_exact::<PyTuple>() {
            Ok(self.all(|| tuple.iter(), depth + 1)?.map(Template::Tuple))
        } else if let Ok(dict) = arg.cast_exact::<PyDict>() {
            Ok(self.items(dict, depth + 1)?.map(Template::Dict))
        } else {
            Ok(None)
        }
    }

    fn all<'py, I: Iterator<Item = Bound<'py, PyAny>>>(
        &mut self,
        args: impl Fn() -> I,
        depth: usize,
    ) -> PyResult<Option<Vec<Template>>> {
        let mut all: Option<Vec<Template>> = None;
        for (index, arg) in args().enumerate() {
            let found = self.one(&arg, depth)?;
            if all.is_none() && found.is_some() {
                all = Some(args().take(index).map(object).collect());
            }
            if let Some(all) = &mut all {
                all.push(found.unwrap_or_else(|| object(arg)));
            }
        }
        Ok(all)
    }

    fn items(&mut self, dict: &Bound<'_, PyDict>, depth: usize) -> PyResult<Option<Items>> {
        let before = self.deps.len();
        let mut items = Vec::with_capacity(dict.len());
        for (key, value) in dict {
            let found = self.one(&value, depth)?;
            items.push((key.unbind(), found.unwrap_or_else(|| object(value))));
        }
        Ok((self.deps.len() > before).then_some(items))
    }
}

fn object(arg: Bound<'_, PyAny>) -> Template {
    Template::Object(arg.unbind())
}

/// The number of a node, unless it is another graph's.
pub(super) fn own(graph: u32, node: &Bound<'_, PyNode>) -> PyResult<u32> {
    if node.get().graph == graph {
        return Ok(node.get().index);
    }
    Err(PyValueError::new_err(format!("{} belongs to another graph", node.repr()?)))
}

impl Arguments {
    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Values(_) => Ok(()),
            Self::Plain(args) => visit.call(args),
            Self::Mixed(all) => all.iter().try_for_each(|one| one.traverse(visit)),
        }
    }
}

impl Kwargs {
    pub(super) fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Plain(dict) => visit.call(dict),
            Self::Mixed(items) => traverse_items(items, visit),
        }
    }
}

impl Template {
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        match self {
            Self::Object(object) => visit.call(object),
            Self::Node(_) => Ok(()),
            Self::List(all) | Self::Tuple(all) => {
                all.iter().try_for_each(|one| one.traverse(visit))
            }
            Self::Dict(items) => traverse_items(items, visit),
        }
    }
}

fn traverse_items(
    items: &[(Py<PyAny>, Template)],
    visit: &PyVisit<'_>,
) -> Result<(), PyTraverseError> {
    items.iter().try_for_each(|(key, value)| {
        visit.call(key)?;
        value.traverse(visit)
    })
}

/// What is needed to call a task: the values in the place of the nodes.
pub(super) struct Values<'a> {
    pub(super) entries: &'a [Entry],
    pub(super) deps: &'a [u32],
}

impl Values<'_> {
    /// Calls it, in a copy of `context` if there is one.
    pub(super) fn call(&self, py: Python<'_>, work: &Work, context: Option<&Py<PyAny>>) -> Outcome {
        task::outcome(py, self.try_call(py, work, context))
    }

    fn try_call<'py>(
        &self,
        py: Python<'py>,
        work: &Work,
        context: Option<&Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let function = work.function.bind(py);
        if let Some(context) = context {
            let run = context.bind(py).call_method0("copy")?.getattr("run")?;
            let args = self.after(py, work)?;
            return call::call(&run, &args, self.by_name(py, work)?.as_ref());
        }
        if let (Arguments::Values(_), None) = (&work.arguments, &work.kwargs) {
            // The interpreter has a shorter way for few arguments than over a tuple.
            match *self.deps {
                [a] => return call::call_one(function, &self.value(py, a)),
                [a, b] => return call::call_two(function, &self.value(py, a), &self.value(py, b)),
                _ => (),
            }
        }
        call::call(function, &self.by_place(py, work)?, self.by_name(py, work)?.as_ref())
    }

    /// The arguments by place.
    fn by_place<'py>(&self, py: Python<'py>, work: &Work) -> PyResult<Bound<'py, PyTuple>> {
        match &work.arguments {
            Arguments::Plain(args) => Ok(args.bind(py).clone()),
            Arguments::Values(count) => {
                PyTuple::new(py, self.deps[..*count].iter().map(|&dep| self.value(py, dep)))
            }
            Arguments::Mixed(all) => PyTuple::new(py, self.fill_all(py, all)?),
        }
    }

    /// The function and the arguments by place.
    pub(super) fn after<'py>(&self, py: Python<'py>, work: &Work) -> PyResult<Bound<'py, PyTuple>> {
        let args = self.by_place(py, work)?;
        let function = work.function.bind(py).clone();
        PyTuple::new(py, std::iter::once(function).chain(args.iter()).collect::<Vec<_>>())
    }

    pub(super) fn by_name<'py>(
        &self,
        py: Python<'py>,
        work: &Work,
    ) -> PyResult<Option<Bound<'py, PyDict>>> {
        match work.kwargs.as_deref() {
            None => Ok(None),
            Some(Kwargs::Plain(dict)) => dict.bind(py).copy().map(Some),
            Some(Kwargs::Mixed(items)) => self.fill_items(py, items).map(Some),
        }
    }

    fn fill<'py>(&self, py: Python<'py>, template: &Template) -> PyResult<Bound<'py, PyAny>> {
        Ok(match template {
            Template::Object(object) => object.bind(py).clone(),
            Template::Node(index) => self.value(py, *index),
            Template::List(all) => PyList::new(py, self.fill_all(py, all)?)?.into_any(),
            Template::Tuple(all) => PyTuple::new(py, self.fill_all(py, all)?)?.into_any(),
            Template::Dict(items) => self.fill_items(py, items)?.into_any(),
        })
    }

    fn fill_all<'py>(&self, py: Python<'py>, all: &[Template]) -> PyResult<Vec<Bound<'py, PyAny>>> {
        all.iter().map(|one| self.fill(py, one)).collect()
    }

    fn fill_items<'py>(
        &self,
        py: Python<'py>,
        items: &[(Py<PyAny>, Template)],
    ) -> PyResult<Bound<'py, PyDict>> {
        let filled = PyDict::new(py);
        for (key, value) in items {
            filled.set_item(key, self.fill(py, value)?)?;
        }
        Ok(filled)
    }

    fn value<'py>(&self, py: Python<'py>, index: u32) -> Bound<'py, PyAny> {
        let value = self.entries[index as usize].value(py);
        value.expect("a task runs when all that it depends on is done").into_bound(py)
    }
}
