"""Refusal of a Ray cluster that does not pass with time: its token, its versions, its safety."""

from medtransfer.errors import StudyError


class ClusterRefusedError(StudyError):
    """A cluster cannot be used until somebody changes it; entering it again does not help."""
