"""Settings of a watch over a network in use."""

from medtransfer.settings import Settings, scoring


class MonitorConfig(Settings):
    """Rates and sizes of a watch."""

    false_alarm_rate: float = scoring(0.05, gt=0, lt=1)
    """Probability, at most, that a watch over an unchanged hospital ever alarms, however long it
    lasts and however often it is read: once for the inputs and scores, once more for the labels."""
    min_baseline: int = scoring(20, ge=2)
    """Patients of the baseline that a test needs; of a device, that it gets tests of its own."""
    min_period: int = scoring(10, ge=1)
    """Months and devices of fewer cases are reported as counts only."""
    replicates: int = scoring(200, ge=0, le=100_000)
    """Bootstrap replicates, by patient, of estimated performance."""
    seed: int = scoring(0, ge=0)
    """Of ties between equal values, and of replicates."""
