"""Pre-train the miniature's networks; the same command resumes.

python benchmarks/miniature/pretrain.py --images natural_tinyimagenet32.parquet [--out rungs]
"""

import argparse
import sys
from pathlib import Path

from medtransfer.pretraining.run import PretrainingStopped, pretrain
from medtransfer.recipes.miniature import miniature_rungs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("rungs"))
    parser.add_argument("--only", default="", help="names that hold this text")
    given = parser.parse_args()
    for run in miniature_rungs(given.images.resolve()):
        if given.only not in run.name:
            continue
        print(f"{run.name}", flush=True)
        try:
            pretrain(run, given.out / run.name, lambda _event: None)
        except PretrainingStopped:
            sys.exit(75)
        print((given.out / run.name / "README.md").read_text("utf-8"), flush=True)


if __name__ == "__main__":
    main()
