//! Pictures of a graph, for Graphviz and for Mermaid.

use std::collections::HashSet;
use std::fmt::Write;
use std::time::Duration;

use super::Graph;
use super::node::{Entry, NodeState};

pub(super) fn dot(graph: &Graph) -> String {
    let critical = Critical::of(graph);
    let mut text = String::from("digraph {\n  node [shape=box style=\"rounded,filled\"];\n");
    for (index, entry) in (0..).zip(&graph.entries) {
        let label = label(entry, "\\n").replace('"', "\\\"");
        let colour = colour(entry.state());
        let bold = if critical.has(index) { " penwidth=3" } else { "" };
        let _ = writeln!(text, "  n{index} [label=\"{label}\" fillcolor=\"{colour}\"{bold}];");
    }
    for (index, _) in (0..).zip(&graph.entries) {
        for &dep in graph.edges.of(index) {
            let bold = if critical.leads(dep, index) { " [penwidth=3]" } else { "" };
            let _ = writeln!(text, "  n{dep} -> n{index}{bold};");
        }
    }
    text.push_str("}\n");
    text
}

pub(super) fn mermaid(graph: &Graph) -> String {
    let critical = Critical::of(graph);
    let mut text = String::from("flowchart TD\n");
    for (index, entry) in (0..).zip(&graph.entries) {
        let label = label(entry, "<br>").replace('"', "#quot;");
        let _ = writeln!(text, "  n{index}[\"{label}\"]");
        let width = if critical.has(index) { ",stroke-width:3px" } else { "" };
        let _ = writeln!(text, "  style n{index} fill:{}{width}", colour(entry.state()));
    }
    for (index, _) in (0..).zip(&graph.entries) {
        for &dep in graph.edges.of(index) {
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
    fn of(graph: &Graph) -> Self {
        let (path, time) = graph.longest_way();
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

fn label(entry: &Entry, new_line: &str) -> String {
    let outcome = entry.outcome.lock();
    let name = entry.name.replace('\\', "\\\\");
    if outcome.took == Duration::ZERO {
        format!("{name}{new_line}{}", outcome.state)
    } else {
        format!("{name}{new_line}{}, {:.1?}", outcome.state, outcome.took)
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
