"""Rows of measurements as Markdown."""

import statistics


def count(value):
    """1234567 as 1,235k."""
    return f"{value / 1000:,.0f}k" if value >= 10_000 else f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def header(title, names, *more):
    columns = ["load", *names, *more]
    return ["", f"### {title}", "", "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]


def row(load, samples, *more):
    """samples: one list a server, the original's first. The ratio is Trivet's median over the original's."""
    medians = [statistics.median(values) for values in samples]
    cells = [count(value) for value in medians]
    ratio = [f"{medians[1] / medians[0]:.2f}"] if len(medians) > 1 and medians[0] else []
    return "| " + " | ".join([load, *cells, *ratio, *more]) + " |"
