"""Flow of the data as a drawing: all data, the cohorts, and what each of their splits is for.

After the flow diagram of CONSORT and STARD. Drawn as SVG without the chart library; lines and text
take the colour of the text around them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from medtransfer.errors import plural
from medtransfer.report.components import Component, Figure, Note
from medtransfer.report.content import ReportData, SplitCounts
from medtransfer.report.drawing import printable_texts
from medtransfer.report.flow.counts import FlowTexts, Texts, flow_texts
from medtransfer.report.small_counts import count_text

SPLITS = ("train", "tune", "test")
USES = {"train": "training", "tune": "selection, thresholds", "test": "results"}
MAX_COHORTS = 12
"""Cohorts that are drawn; the table beside the drawing has all."""
BOX_WIDTH, SPLIT_WIDTH, LINE, PAD, GAP = 172, 290, 16, 10, 36
SPACE = 10
"""Between boxes above each other."""
MAX_LETTERS = 24
"""Letters of a name in a box."""


@dataclass(frozen=True)
class Box:
    """A box of the drawing.

    Attributes:
        x: Left end.
        y: Upper end.
        lines: Text, the first line in bold.
        width: Width in pixels.
    """

    x: int
    y: int
    lines: tuple[str, ...]
    width: int = BOX_WIDTH

    @property
    def height(self) -> int:
        """Height in pixels."""
        return LINE * len(self.lines) + 2 * PAD

    @property
    def middle(self) -> int:
        """Vertical middle."""
        return self.y + self.height // 2


def flow_parts(data: ReportData) -> list[Component]:
    """The drawing with its sentences; empty where the counts are not known."""
    if not data.counts:
        return []
    texts = flow_texts(data.counts, data.evaluation.minimum_group)
    return [_figure(data, texts), *_notes(data)]


def _figure(data: ReportData, texts: FlowTexts) -> Figure:
    cohorts = list(texts.cohorts)
    first = Box(0, 0, ("All data", *_lines(texts.total), *_audit_lines(data)))
    rows: list[list[Box]] = []
    top = 0
    for cohort in cohorts[:MAX_COHORTS]:
        rows.append(_row(data, texts, cohort, top))
        top = max(box.y + box.height for box in rows[-1]) + 2 * SPACE
    if len(cohorts) > MAX_COHORTS:
        more = f"{plural(len(cohorts) - MAX_COHORTS, 'more cohort')}"
        rows.append([Box(BOX_WIDTH + GAP, top, (more, "in the table below"))])
        top += rows[-1][0].height + 2 * SPACE
    height = max(top - 2 * SPACE, first.height)
    beside = rows[0][0].middle - first.height // 2
    first = replace(first, y=max(0, min(height - first.height, beside)))
    return Figure(
        name="flow",
        spec={"datasets": {"flow": _points(texts)}},
        svg=_svg(first, rows, height, _spoken(texts)),
        caption=(
            "Read from left to right: all data, each cohort, and the use of its splits. Cases "
            "without a label of a target are in no metric of that target."
        ),
        title="Flow of the data",
        live=False,
    )


def _row(data: ReportData, texts: FlowTexts, cohort: str, top: int) -> list[Box]:
    """Box of a cohort, then those of its splits below each other."""
    least = data.evaluation.minimum_group
    x, y = 2 * (BOX_WIDTH + GAP), top
    splits: list[Box] = []
    for count in _in_order(count for count in data.counts if count.cohort == cohort):
        use = USES.get(count.split)
        lines = [
            f"{count.split}: {use}" if use else count.split,
            " · ".join(_lines(texts.splits[cohort, count.split])),
            *_unlabelled(count, data.targets, least),
        ]
        splits.append(Box(x, y, tuple(lines), SPLIT_WIDTH))
        y += splits[-1].height + SPACE
    box = Box(BOX_WIDTH + GAP, top, (_short(cohort), *_lines(texts.cohorts[cohort])))
    return [box, *splits]


def _unlabelled(count: SplitCounts, targets: Sequence[str], least: int) -> Iterator[str]:
    """Lines on cases without a label, the targets that most lack first."""
    lacking = {name: count.masked.get(name, 0) for name in targets}
    names = sorted((name for name in targets if lacking[name]), key=lambda n: -lacking[n])
    for name in names[:2]:
        yield f"{count_text(lacking[name], least)} without a label of {_short(name)}"
    if len(names) > 2:
        yield f"and {plural(len(names) - 2, 'more target')}"


def _in_order(counts: Iterator[SplitCounts]) -> list[SplitCounts]:
    order = {split: place for place, split in enumerate(SPLITS)}
    return sorted(counts, key=lambda count: order.get(count.split, len(SPLITS)))


def _lines(texts: Texts) -> list[str]:
    """``234 images``, one line a measure."""
    return [f"{text} {measure[:-1] if text == '1' else measure}" for measure, text in texts.items()]


def _audit_lines(data: ReportData) -> list[str]:
    if data.findings is None:
        return []
    waived = sum(finding.waived is not None for finding in data.findings)
    lines = [f"audit: {plural(len(data.findings), 'finding')}"]
    return [*lines, f"{waived} of them waived"] if waived else lines


def _notes(data: ReportData) -> Iterator[Note]:
    """Sentences on findings that were waived."""
    for finding in data.findings or ():
        if finding.waived is not None:
            yield Note(f"Waived, {finding.code}: {finding.sentence} Reason: {finding.waived}")


def _points(texts: FlowTexts) -> list[dict[str, str]]:
    """The drawn counts, one row a box."""
    rows = [{"cohort": "all", "split": "all", **texts.total}]
    rows += [{"cohort": name, "split": "all", **t} for name, t in texts.cohorts.items()]
    rows += [{"cohort": c, "split": s, **t} for (c, s), t in texts.splits.items()]
    return rows


def _spoken(texts: FlowTexts) -> str:
    """The drawing in words, for readers of the alternative text."""
    parts = [f"All data: {', '.join(_lines(texts.total))}"]
    for name, of_cohort in texts.cohorts.items():
        splits = [
            f"{split} {', '.join(_lines(t))}"
            for (cohort, split), t in texts.splits.items()
            if cohort == name
        ]
        parts.append(f"{name}: {', '.join(_lines(of_cohort))} ({'; '.join(splits)})")
    return ". ".join(parts)


def _short(text: str) -> str:
    return text if len(text) <= MAX_LETTERS else f"{text[: MAX_LETTERS - 1]}…"


def _svg(first: Box, rows: Sequence[Sequence[Box]], height: int, words: str) -> Markup:
    boxes = [first, *(box for row in rows for box in row)]
    lines = [_arrow(first, row[0]) for row in rows]
    lines += [_arrow(row[0], box) for row in rows for box in row[1:]]
    width = max(box.x + box.width for box in boxes) + 2
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" class="flow" role="img" viewBox="-1 -1 {w} {h}" '
        'width="{w}" height="{h}" style="max-width:100%;height:auto" fill="none" '
        'stroke="currentColor" font-family="sans-serif" font-size="12"><title>{title}</title>'
        "{lines}{boxes}</svg>"
    ).format(
        w=width,
        h=height + 2,
        title=printable_texts(words),
        lines=Markup().join(lines),
        boxes=Markup().join(_drawn(box) for box in boxes),
    )


def _arrow(left: Box, right: Box) -> Markup:
    """A line from the right side of a box to the left side of another, with its tip."""
    x1, x2, y1, y2 = left.x + left.width, right.x, left.middle, right.middle
    bend = right.x - GAP // 2
    return Markup(
        '<path d="M{x1} {y1}H{bend}V{y2}H{x2}" opacity="0.5"/>'
        '<path d="M{back} {up}L{x2} {y2}L{back} {down}" opacity="0.5"/>'
    ).format(x1=x1, x2=x2, y1=y1, y2=y2, bend=bend, back=x2 - 5, up=y2 - 4, down=y2 + 4)


def _drawn(box: Box) -> Markup:
    texts = Markup().join(
        Markup('<text x="{}" y="{}"{}>{}</text>').format(
            box.x + PAD,
            box.y + PAD + LINE * (number + 1) - 4,
            Markup(' font-weight="600"') if number == 0 else Markup(),
            printable_texts(line),
        )
        for number, line in enumerate(box.lines)
    )
    return Markup(
        '<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="3"/>'
        '<g fill="currentColor" stroke="none">{texts}</g>'
    ).format(
        x=box.x,
        y=box.y,
        w=box.width,
        h=box.height,
        texts=texts,
    )
