"""A study's folder with runs put into states by hand, as a killed or failed command leaves them."""

from pathlib import Path

from medtransfer.runs.folders import RunFolder, StudyFolder


class Shelf:
    """A study of two runs, neither of which is done."""

    def __init__(self, path: Path) -> None:
        self.folder = StudyFolder(path)
        self.folder.claim("chest")
        self.ids = ["0" * 12, "1" * 12]
        self.folder.write("plan.json", [{"run_id": name} for name in self.ids])

    def run(self, number: int) -> RunFolder:
        return self.folder.run(self.ids[number])
