"""Facts of a report's first page; words, tables and `report.json` are made from them alone."""

from dataclasses import asdict, dataclass
from typing import Literal

from medtransfer.language.translation import template
from medtransfer.report.content import Row

Mark = Literal["shown", "not shown", "not studied"]
"""`shown`: an interval speaks for the sentence; `not shown`: none does."""
MARKS = (template("shown"), template("not shown"), template("not studied"))
Topic = Literal["transfer", "shift", "labels", "groups", "probabilities"]


@dataclass(frozen=True)
class Quantity:
    """A number with its interval.

    Attributes:
        value: None if it is undefined; then `reason` says why.
        low: Lower end of the 95% interval, if it has one.
        high: Upper end.
        reason: Cause of a missing value or interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str | None = None

    @staticmethod
    def of(row: Row | None, missing: str = "not measured") -> "Quantity":
        """The number of a row of the results."""
        if row is None:
            return Quantity(None, reason=missing)
        value = row.get("value", row.get("difference"))
        return Quantity(value, row["low"], row["high"], row.get("reason"))

    def missed(self) -> "Quantity":
        """The complement of a share, as a number per 100."""
        if self.value is None:
            return self
        ends = [None if end is None else 100 * (1 - end) for end in (self.high, self.low)]
        return Quantity(100 * (1 - self.value), *ends, reason=self.reason)

    def negated(self) -> "Quantity":
        """The same with the other sign."""
        ends = [None if end is None else -end for end in (self.high, self.low)]
        return Quantity(None if self.value is None else -self.value, *ends, reason=self.reason)

    def times(self, factor: float) -> "Quantity":
        """The same in another unit; the factor is above 0."""
        scaled = (None if x is None else factor * x for x in (self.value, self.low, self.high))
        return Quantity(*scaled, reason=self.reason)

    def wider(self, factor: float) -> "Quantity":
        """The same with an interval that is wider by a factor, on both sides."""
        if self.value is None or self.low is None or self.high is None:
            return self
        ends = (self.value + factor * (end - self.value) for end in (self.low, self.high))
        return Quantity(self.value, *ends, reason=self.reason)

    @property
    def is_above_zero(self) -> bool:
        """True if the whole interval is above 0."""
        return self.low is not None and self.low > 0

    @property
    def is_below_zero(self) -> bool:
        """True if the whole interval is below 0."""
        return self.high is not None and self.high < 0


@dataclass(frozen=True)
class LabelCounts:
    """Test cases of one target; counts are texts, since small ones are hidden.

    Attributes:
        target: Its name.
        positive: Cases with it.
        negative: Cases without it.
        unlabelled: Cases without a label, which enter no metric of it.
        few_positive: True if a share of the positive cases is hardly known.
    """

    target: str
    positive: str
    negative: str
    unlabelled: str
    few_positive: bool


@dataclass(frozen=True)
class HospitalFacts:
    """Test cases of one hospital, and the subject's performance on them.

    Attributes:
        cohort: Its name.
        trained: True if the network was trained with cases of it; None if that is unknown.
        cases: Number of test cases, as text.
        patients: Number of their patients, as text.
        targets: Counts of each target: of those with a label, the one with the fewest positive
            cases first.
        auroc: Of the subject.
        missed: Of 100 cases with the finding, those called negative at the operating point.
        called: Of 100 cases without it, those called positive.
        drop: AUROC that is lost against the internal test set; None at the internal test set.
    """

    cohort: str
    trained: bool | None
    cases: str
    patients: str
    targets: tuple[LabelCounts, ...]
    auroc: Quantity
    missed: Quantity
    called: Quantity
    drop: Quantity | None = None


@dataclass(frozen=True)
class QuestionLine:
    """Answer to one question in one line.

    Attributes:
        topic: The question's key.
        question: The question in plain words.
        mark: Agrees with the intervals in `estimates`.
        sentence: The answer with its numbers.
        estimates: The numbers, by what they are of: a hospital, a pair of rungs or of groups.
        p: Corrected p-value, where the mark goes by one.
        detectable: Smallest true value that four of five such studies would show.
    """

    topic: Topic
    question: str
    mark: Mark
    sentence: str
    estimates: dict[str, Quantity]
    p: float | None = None
    detectable: float | None = None


@dataclass(frozen=True)
class ReadableRung:
    """A rung's readable name beside its name in tables and files."""

    readable: str
    rung: str


@dataclass(frozen=True)
class CurvePoint:
    """AUROC of a rung at a share of the training labels."""

    rung: str
    fraction: float
    auroc: Quantity


@dataclass(frozen=True)
class FrontPage:
    """Everything that the first page says.

    Attributes:
        title: Of the report.
        verdict: The recommendation in one sentence.
        recommended: The rung to take; None if none can be recommended over another.
        reason: Sentences on why, or what would be needed.
        condition: Sentences on where and for whom it holds.
        subject: The rung that all other numbers are of.
        subject_reason: Words on why it is that one.
        reference: The rung that others are compared with.
        point: The operating point of missed and called cases, in words; empty without one.
        hospitals: The internal test set first.
        findings: One for each question.
        not_concluded: Sentences that must not be concluded, each with its reason.
        curve: Learning curves on the internal test set; empty with one label fraction.
        names: Readable names and the names they stand for.
    """

    title: str
    verdict: str
    recommended: str | None
    reason: str
    condition: str
    subject: str
    subject_reason: str
    reference: str
    point: str
    hospitals: tuple[HospitalFacts, ...]
    findings: tuple[QuestionLine, ...]
    not_concluded: tuple[str, ...]
    curve: tuple[CurvePoint, ...] = ()
    names: tuple[ReadableRung, ...] = ()

    def plain(self) -> dict[str, object]:
        """The facts as a JSON object."""
        return asdict(self)

    def finding(self, topic: Topic) -> QuestionLine:
        """The answer to one question."""
        return next(finding for finding in self.findings if finding.topic == topic)
