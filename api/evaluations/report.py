"""An evaluation as a page: one file without scripts, pictures or anything from elsewhere. Each plot has its
figures in a table beside it."""

import base64
import hashlib
from collections.abc import Sequence
from html import escape

from starlette.responses import HTMLResponse, Response

from api.evaluations.plots import Bar, bars, histogram
from api.evaluations.schemas import Evaluation, Metric
from api.files.disposition import safe_character
from db.queries.evaluations import MeasuredQuestion

WORST = 20
"""Questions shown, those that fared worst."""
_BINS = 10
_MAIN = "ndcg@10"
_STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --text: #1b1f24; --soft: #57606a;
  --line: #d0d7de; --now: #0b57d0; --before: #8c959f; --wrong: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171a; --text: #eceff2; --soft: #a9b3bd;
  --line: #3a424a; --now: #a8c7fa; --before: #6e7681; --wrong: #f2b8b5; } }
body { margin: 0; background: var(--ground); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; margin: 0 0 2rem; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { text-align: left; padding: .25rem .75rem .25rem 0; border-bottom: 1px solid var(--line);
  vertical-align: top; }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
svg { display: block; max-width: 100%; height: auto; margin: 0 0 1rem; }
svg text { fill: var(--text); font: 12px system-ui, sans-serif; }
figure { margin: 0 0 1rem; } figcaption { color: var(--soft); padding: 0 0 .5rem; }
.scale { stroke: var(--line); } .now { fill: var(--now); } .before { fill: var(--before); }
.soft { color: var(--soft); } .wrong { color: var(--wrong); font-weight: 600; }
"""
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Cache-Control": "private, no-store",
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def report_of(evaluation: Evaluation, questions: Sequence[MeasuredQuestion]) -> Response:
    name = _shown(evaluation.name)
    document = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evaluation: {name}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{name}</h1>{_facts(evaluation)}{_plot_of_shares(evaluation.metrics)}"
        f"{_table_of_metrics(evaluation.metrics)}{_spread(questions)}{_worst(questions)}"
        "</main></body></html>"
    )
    return HTMLResponse(document, headers=_HEADERS)


def _facts(evaluation: Evaluation) -> str:
    ended = evaluation.finished_at
    when = f"{ended:%Y-%m-%d %H:%M} UTC" if ended else "not ended"
    notes = "".join(f"<li>{_shown(note)}</li>" for note in evaluation.notes)
    where = f" in {_shown(evaluation.collection)}" if evaluation.collection else ""
    return (
        f"<p>{evaluation.state.value}, {when}; {evaluation.done} of {evaluation.questions} questions,"
        f" {evaluation.mode.value} search{where}, answers: {evaluation.answers.value}.</p>"
        + (f"<ul>{notes}</ul>" if notes else "")
    )


def _plot_of_shares(metrics: Sequence[Metric]) -> str:
    shares = [each for each in metrics if _is_share(each)]
    if not shares:
        return ""
    return bars(
        [Bar(each.name, each.value, each.before) for each in shares],
        "Shares from 0 to 1, of this run and of the one before. The table below has the figures.",
    )


def _table_of_metrics(metrics: Sequence[Metric]) -> str:
    rows = "".join(
        f'<tr><th scope="row">{escape(each.name)}</th>{_number(each.value)}{_number(each.before)}'
        f"{_number(each.difference, signed=True)}"
        f"<td>{'<span class=wrong>worse</span>' if each.is_worse else ''}</td></tr>"
        for each in metrics
    )
    return (
        "<table><caption>Figures</caption><thead><tr><th>Figure</th><th class=number>Now</th>"
        "<th class=number>Before</th><th class=number>Difference</th><th></th></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
    )


def _spread(questions: Sequence[MeasuredQuestion]) -> str:
    values = [value for each in questions if (value := _main_figure(each)) is not None]
    if not values:
        return ""
    counts = [0] * _BINS
    for value in values:
        counts[min(int(value * _BINS), _BINS - 1)] += 1
    labels = [f"{bin_ / _BINS:.1f}" for bin_ in range(_BINS)]
    rows = "".join(
        f'<tr><th scope="row">from {label}</th><td class=number>{count}</td></tr>'
        for label, count in zip(labels, counts, strict=True)
    )
    return (
        f"<h2>Questions by {_MAIN}</h2>"
        + histogram(labels, counts, f"Number of questions by {_MAIN}, from 0 to 1.")
        + f"<table><caption>Questions by {_MAIN}</caption><tbody>{rows}</tbody></table>"
    )


def _worst(questions: Sequence[MeasuredQuestion]) -> str:
    known = [(value, each) for each in questions if (value := _main_figure(each)) is not None]
    known.sort(key=lambda pair: (pair[0], pair[1].ordinal))
    if not known:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{_shown(each.question_id)}</th><td>{_shown(each.text)}</td>'
        f"{_number(value)}</tr>"
        for value, each in known[:WORST]
    )
    return (
        "<table><caption>Questions that fared worst</caption><thead><tr><th>Id</th><th>Question</th>"
        f"<th class=number>{_MAIN}</th></tr></thead><tbody>{rows}</tbody></table>"
    )


def _main_figure(question: MeasuredQuestion) -> float | None:
    value = question.figures.get(_MAIN)
    return float(value) if isinstance(value, int | float) else None


def _is_share(metric: Metric) -> bool:
    return "_ms_" not in metric.name and metric.name != "tokens"


def _number(value: float | None, *, signed: bool = False) -> str:
    if value is None:
        return '<td class="number soft">–</td>'
    return f"<td class=number>{value:+.3f}</td>" if signed else f"<td class=number>{value:.3f}</td>"


def _shown(text: str) -> str:
    """Escaped, without what controls or turns the direction of text."""
    return escape("".join(each if each in "/\\\n" else safe_character(each) for each in text))
