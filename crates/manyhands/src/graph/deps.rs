//! `Deps`: what a task of a graph may depend on, and how it is given the values.

use super::node::{Entry, Node, Value};

/// What a task of a [`Graph`](super::Graph) may depend on: nothing, `()`; one [`Node`]; a tuple of up to
/// eight; a `Vec` of nodes with values of one type.
pub trait Deps: sealed::Hold + Send + Sync + 'static {
    /// References to the values: `&T` for a `Node<T>`, and the same shape for the others.
    type Refs<'a>;

    #[doc(hidden)]
    fn refs(held: &Self::Held) -> Self::Refs<'_>;
}

pub(super) mod sealed {
    use super::{Entry, Value};

    pub trait Hold {
        /// The values, kept for as long as the task runs.
        type Held: Send + 'static;

        /// Calls `see` with the graph and the index of each.
        fn visit(&self, see: &mut dyn FnMut(u32, u32));
        #[allow(private_interfaces, reason = "nobody outside can call it")]
        fn hold(&self, entries: &[Entry]) -> Self::Held;
    }

    pub(super) fn value(entries: &[Entry], index: u32) -> Value {
        let value = entries[index as usize].outcome.lock().value.clone();
        value.expect("a task runs when all that it depends on is done")
    }
}

fn cast<T: 'static>(value: &Value) -> &T {
    value.downcast_ref().expect("a node's value is of the node's type")
}

impl<T: Send + Sync + 'static> sealed::Hold for Node<T> {
    type Held = Value;

    fn visit(&self, see: &mut dyn FnMut(u32, u32)) {
        see(self.graph(), self.index());
    }

    #[allow(private_interfaces, reason = "nobody outside can call it")]
    fn hold(&self, entries: &[Entry]) -> Value {
        sealed::value(entries, self.index())
    }
}

impl<T: Send + Sync + 'static> Deps for Node<T> {
    type Refs<'a> = &'a T;

    fn refs(held: &Value) -> &T {
        cast(held)
    }
}

impl<T: Send + Sync + 'static> sealed::Hold for Vec<Node<T>> {
    type Held = Vec<Value>;

    fn visit(&self, see: &mut dyn FnMut(u32, u32)) {
        for node in self {
            see(node.graph(), node.index());
        }
    }

    #[allow(private_interfaces, reason = "nobody outside can call it")]
    fn hold(&self, entries: &[Entry]) -> Vec<Value> {
        self.iter().map(|node| sealed::value(entries, node.index())).collect()
    }
}

impl<T: Send + Sync + 'static> Deps for Vec<Node<T>> {
    type Refs<'a> = Vec<&'a T>;

    fn refs(held: &Vec<Value>) -> Vec<&T> {
        held.iter().map(cast).collect()
    }
}

macro_rules! tuple {
    ($($value:ident $index:tt)*) => {
        impl<$($value: Send + Sync + 'static),*> sealed::Hold for ($(Node<$value>,)*) {
            type Held = [Value; <[u32]>::len(&[$($index),*])];

            #[allow(unused_variables, reason = "of none, none is seen")]
            fn visit(&self, see: &mut dyn FnMut(u32, u32)) {
                $(see(self.$index.graph(), self.$index.index());)*
            }

            #[allow(private_interfaces, reason = "nobody outside can call it")]
            #[allow(unused_variables, reason = "of none, none is held")]
            fn hold(&self, entries: &[Entry]) -> Self::Held {
                [$(sealed::value(entries, self.$index.index())),*]
            }
        }

        impl<$($value: Send + Sync + 'static),*> Deps for ($(Node<$value>,)*) {
            type Refs<'a> = ($(&'a $value,)*);

            #[allow(unused_variables, clippy::unused_unit, reason = "of none, none is given")]
            fn refs(held: &Self::Held) -> Self::Refs<'_> {
                ($(cast(&held[$index]),)*)
            }
        }
    };
}

tuple!();
tuple!(A 0);
tuple!(A 0 B 1);
tuple!(A 0 B 1 C 2);
tuple!(A 0 B 1 C 2 D 3);
tuple!(A 0 B 1 C 2 D 3 E 4);
tuple!(A 0 B 1 C 2 D 3 E 4 F 5);
tuple!(A 0 B 1 C 2 D 3 E 4 F 5 G 6);
tuple!(A 0 B 1 C 2 D 3 E 4 F 5 G 6 H 7);
