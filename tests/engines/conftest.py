"""Stand-ins for the commands of Slurm, which carry jobs out here."""

import os
import stat
from pathlib import Path

import pytest

from medtransfer.engines import slurm

SBATCH = """\
#!/bin/bash
# runs the tasks one after another; the first is asked to stop once it has trained
script="${@: -1}"
echo "$@" >> "$FAKE/calls"
last=$(grep -oP 'array=0-\\K[0-9]+' "$script")
export SLURM_ARRAY_JOB_ID=7
(
for task in $(seq 0 "$last"); do
    export SLURM_ARRAY_TASK_ID=$task
    touch "$FAKE/again"
    while [ -f "$FAKE/again" ]; do
        rm "$FAKE/again"
        bash "$script" & pid=$!
        if [ ! -f "$FAKE/stopped" ]; then
            until ls "$STUDY"/runs/*/progress.json >/dev/null 2>&1; do sleep 0.1; done
            touch "$FAKE/stopped"
            kill -TERM "$pid"
        fi
        wait "$pid"
        echo "$task $?" >> "$FAKE/codes"
    done
    echo "$task" >> "$FAKE/done"
done
) >"$FAKE/out" 2>&1 &
echo "7;cluster"
"""
SQUEUE = """\
#!/bin/bash
[ -f "$FAKE/invalid" ] && { echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; }
[ -f "$FAKE/broken" ] && { echo "Unable to contact slurm controller" >&2; exit 1; }
cat "$FAKE/queued" 2>/dev/null || seq 0 9 | grep -vxFf <(cat "$FAKE/done" 2>/dev/null)
exit 0
"""
SCONTROL = '#!/bin/bash\necho "$@" >> "$FAKE/requeued"\ntouch "$FAKE/again"\n'


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands of Slurm that run here; a folder with what was asked of them."""
    place = tmp_path / "fake"
    place.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scontrol", SCONTROL)):
        (place / name).write_text(text)
        (place / name).chmod((place / name).stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(place), prepend=os.pathsep)
    monkeypatch.setenv("FAKE", str(place))
    monkeypatch.setenv("STUDY", str(tmp_path / "s"))
    monkeypatch.setattr(slurm, "POLL_SECONDS", 0.01)
    return place
