//! Pictures of a graph, for Graphviz and for Mermaid.

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt::Write;
use std::time::Duration;

use super::Edges;
use crate::graph::NodeState;

/// What a picture shows of a node.
#[derive(Clone, Debug)]
pub struct Shown<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Where it stands.
    pub state: NodeState,
    /// How long it ran last.
    pub took: Duration,
}

/// A picture for Graphviz, the critical path in bold.
///
/// ```
/// use manyhands::NodeState;
/// use manyhands::graph::engine::{Edges, Shown, dot};
/// use std::time::Duration;
///
/// let mut edges = Edges::new();
/// edges.add();
/// let hen = Shown { name: "hen".into(), state: NodeState::Waiting, took: Duration::ZERO };
/// assert!(dot(&edges, &[hen]).contains("label=\"hen\\nwaiting\""));
/// ```
pub fn dot(edges: &Edges, nodes: &[Shown<'_>]) -> String {
    let critical = Critical::of(edges, nodes);
    let mut text = String::from("digraph {\n  node [shape=box style=\"rounded,filled\"];\n");
    for (index, node) in (0..).zip(nodes) {
        let label = label(node, "\\n").replace('"', "\\\"");
        let colour = colour(node.state);
        let bold = if critical.has(index) { " penwidth=3" } else { "" };
        let _ = writeln!(text, "  n{index} [label=\"{label}\" fillcolor=\"{colour}\"{bold}];");
    }
    for (index, _) in (0..).zip(nodes) {
        for &dep in edges.of(index) {
            let bold = if critical.leads(dep, index) { " [penwidth=3]" } else { "" };
            let _ = writeln!(text, "  n{dep} -> n{index}{bold};");
        }
    }
    text.push_str("}\n");
    text
}

/// A picture for Mermaid, the critical path in bold.
pub fn mermaid(edges: &Edges, nodes: &[Shown<'_>]) -> String {
    let critical = Critical::of(edges, nodes);
    let mut text = String::from("flowchart TD\n");
    for (index, node) in (0..).zip(nodes) {
        let label = label(node, "<br>").replace('"', "#quot;");
        let _ = writeln!(text, "  n{index}[\"{label}\"]");
        let width = if critical.has(index) { ",stroke-width:3px" } else { "" };
        let _ = writeln!(text, "  style n{index} fill:{}{width}", colour(node.state));
    }
    for (index, _) in (0..).zip(nodes) {
        for &dep in edges.of(index) {
            let arrow = if critical.leads(dep, index) { "==>" } else { "-->" };
            let _ = writeln!(text, "  n{dep} {arrow} n{index}");
        }
    }
    text
}

/// The critical path, if anything has been run.
struct Critical {
    nodes: HashSet<u32>,
    steps: HashSet<(u32, u32)>,
}

impl Critical {
    fn of(edges: &Edges, nodes: &[Shown<'_>]) -> Self {
        let (path, time) = edges.critical_path(|index| nodes[index as usize].took);
        let path = if time.is_zero() { Vec::new() } else { path };
        let steps = path.windows(2).map(|step| (step[0], step[1])).collect();
        Self { nodes: path.into_iter().collect(), steps }
    }

    fn has(&self, index: u32) -> bool {
        self.nodes.contains(&index)
    }

    fn leads(&self, from: u32, to: u32) -> bool {
        self.steps.contains(&(from, to))
    }
}

fn label(node: &Shown<'_>, new_line: &str) -> String {
    let name = node.name.replace('\\', "\\\\");
    if node.took == Duration::ZERO {
        format!("{name}{new_line}{}", node.state)
    } else {
        format!("{name}{new_line}{}, {:.1?}", node.state, node.took)
    }
}

fn colour(state: NodeState) -> &'static str {
    match state {
        NodeState::Waiting => "#ffffff",
        NodeState::Done => "#c8e6c9",
        NodeState::Failed => "#ffcdd2",
        NodeState::NotRun => "#eeeeee",
    }
}
