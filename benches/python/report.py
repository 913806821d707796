"""The figures as Markdown: a table for each row, an overview, and what was measured where."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from pathlib import Path

from workloads import GROWTH, Figures, Row


@dataclass
class Cell:
    """What became of one subject in one row."""

    samples: list[Figures] = field(default_factory=list)
    # Why there are no samples, or fewer than there should be.
    trouble: str | None = None

    def median(self, metric: str) -> float | None:
        values = [sample[metric] for sample in self.samples if metric in sample]
        return statistics.median(values) if values else None

    def best(self, metric: str) -> float | None:
        return min((sample[metric] for sample in self.samples if metric in sample), default=None)


# Contestant -> what became of it in one row.
Cells = dict[str, Cell]


@dataclass
class Run:
    """Everything one run found out."""

    title: str
    baseline: str
    ours: list[str]
    introduction: list[str]
    legend: list[str]
    rows: list[tuple[Row, Cells]]
    # What figures are to be seen by, but no peer.
    yardsticks: list[str] = field(default_factory=list)


def markdown(run: Run) -> str:
    """The whole report, without the markers around it."""
    parts = [[f"## {run.title}"], run.introduction, run.legend]
    if len(run.rows) > 1:
        parts.append(overview(run))
    for row, cells in run.rows:
        parts.append([f"### {row.key}: {row.title}"])
        parts += row_parts(run, cells)
    return "\n\n".join("\n".join(part) for part in parts if part) + "\n"


def row_parts(run: Run, cells: Cells) -> list[list[str]]:
    """The table of a row, fastest first, and below it who is missing from it."""
    measured = {name: cell for name, cell in cells.items() if cell.samples}
    parts = []
    if measured:
        metrics = list(next(iter(measured.values())).samples[0])
        header = ["subject"]
        for metric in metrics:
            header.append(metric)
            if metric != GROWTH:
                header += ["best", f"against {run.baseline}"]
        first = metrics[0]
        ranked = sorted(measured, key=lambda name: measured[name].median(first) or 0)
        lines = []
        for name in ranked:
            line = [name]
            for metric in metrics:
                line.append(number(measured[name].median(metric)))
                if metric != GROWTH:
                    line.append(number(measured[name].best(metric)))
                    line.append(times(cells, run.baseline, name, metric))
            lines.append(line)
        parts.append(table(header, lines))
    parts.append([f"- {name}: {cell.trouble}" for name, cell in cells.items() if cell.trouble])
    return parts


def overview(run: Run) -> list[str]:
    """One line a row: ours, the baseline, the best of the others, and who is ahead."""
    columns = [*run.ours, *([run.baseline] if run.baseline not in run.ours else [])]
    header = ["row", *columns]
    header += [f"{name} against {run.baseline}" for name in run.ours if name != run.baseline]
    header += ["best other", "its figure", "ahead"]
    lines = []
    for row, cells in run.rows:
        measured = {
            name: cell
            for name, cell in cells.items()
            if cell.samples and name not in run.yardsticks
        }
        if not measured:
            continue
        metric = next(iter(next(iter(measured.values())).samples[0]))
        figures = {name: cell.median(metric) or 0 for name, cell in measured.items()}
        others = [name for name in figures if name not in run.ours]
        best_other = min(others, key=figures.__getitem__, default=None)
        lines.append(
            [
                f"{row.key}, {metric}",
                *(number(figures.get(name)) for name in columns),
                *(
                    times(cells, run.baseline, name, metric)
                    for name in run.ours
                    if name != run.baseline
                ),
                best_other or "-",
                number(figures[best_other]) if best_other else "-",
                min(figures, key=figures.__getitem__),
            ]
        )
    return ["### Overview", "", *table(header, lines)]


def times(cells: Cells, baseline: str, name: str, metric: str) -> str:
    """How many times better than the baseline: above 1 is faster, or less."""
    base = cells[baseline].median(metric) if baseline in cells else None
    own = cells[name].median(metric) if name in cells else None
    return f"{base / own:.2f}x" if base and own else "-"


def number(value: float | None) -> str:
    """Three digits are more than the noise leaves."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(header: list[str], lines: list[list[str]]) -> list[str]:
    """Aligned in the source as well; every column but the first to the right."""
    widths = [max(len(line[i]) for line in [header, *lines]) for i in range(len(header))]

    def row(line: list[str]) -> str:
        padded = [line[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [row(header), row(rule), *map(row, lines)]


def write(path: Path, name: str, text: str) -> None:
    """Puts `text` between the file's markers of that name, which are added where missing."""
    begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
    old = path.read_text() if path.exists() else ""
    if begin not in old:
        old = f"{old.rstrip()}\n\n{begin}\n{end}\n".lstrip()
    before, _, rest = old.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{path}: {begin} without {end} after it")
    path.write_text(f"{before}{begin}\n\n{text}\n{end}{after}")
