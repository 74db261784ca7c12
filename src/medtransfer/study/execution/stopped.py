"""The end of a study that was asked to stop."""


class StudyStopped(Exception):  # noqa: N818
    """The study was asked to stop; the same command goes on.

    Attributes:
        done: Runs that are over.
        total: Runs of the study.
    """

    def __init__(self, done: int, total: int) -> None:
        super().__init__(f"{done} of {total} runs are done. Run the same command again to resume.")
        self.done, self.total = done, total
