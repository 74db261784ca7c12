"""Fine-tune the miniature's rungs on its medical tasks; the same command resumes.

python benchmarks/miniature/transfer.py --manifests FOLDER --out STUDIES [--only chest]

Run it where `rungs` is the folder that `pretrain.py` filled.
"""

import argparse
import sys
from pathlib import Path

from medtransfer.cli.display import display
from medtransfer.recipes.miniature import TARGETS, imagenet_study, miniature_study
from medtransfer.report.page import write_report
from medtransfer.study.execution.stopped import StudyStopped
from medtransfer.study.schedule import run_study


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--manifests", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("studies"))
    parser.add_argument("--only", default="", help="the task of this name")
    given = parser.parse_args()
    for target in TARGETS:
        if given.only not in ("", target.name):
            continue
        manifest = (given.manifests / f"{target.name}.parquet").resolve()
        for study in (miniature_study(target, manifest), imagenet_study(target, manifest)):
            with display(as_json=False) as watch:
                try:
                    folder = run_study(study, given.out / study.name, watch)
                except StudyStopped as stopped:
                    print(stopped)
                    sys.exit(75)
            print(write_report(folder))


if __name__ == "__main__":
    main()
