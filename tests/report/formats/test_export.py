"""Files of a finished study's report that lie in its folder."""

import shutil
from pathlib import Path

import pytest

from medtransfer import ReportFormats, StudyFolder, export_report, fsck


@pytest.mark.slow
def test_files_in_the_study_folder_are_sealed_with_it(
    finished: StudyFolder, tmp_path: Path
) -> None:
    folder = tmp_path / "study"
    shutil.copytree(finished.path, folder)
    about = folder / "about.yaml"
    formats = ReportFormats(
        tables=folder / "tables", checklists=folder / "checklist.md", about=about
    )
    first = export_report(folder, formats)
    assert about in first.paths
    about.write_text("funding: none\n")
    again = export_report(folder, formats)
    assert about not in again.paths
    assert "| 44 | Funding and the role of funders | answered | none |" in (
        (folder / "checklist.md").read_text("utf-8")
    )
    faults = [str(fault) for fault in fsck(folder).faults]
    assert [fault for fault in faults if "about.yaml" not in fault] == []
