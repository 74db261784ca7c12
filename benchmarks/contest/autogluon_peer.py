"""AutoGluon-Multimodal on the files that `automatic.py` prepared, in an environment of its own.

PYTHON autogluon_peer.py FOLDER MINUTES

It gets the same split, network and weights, all other settings are its own.
"""

import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from autogluon.multimodal import MultiModalPredictor


def main() -> None:
    folder, minutes = Path(sys.argv[1]), float(sys.argv[2])
    task = json.loads((folder / "task.json").read_text("utf-8"))
    images = pd.read_csv(folder / "images.csv", dtype={"label": str})
    images["image"] = [str(folder / "images" / name) for name in images["file"]]
    parts = {name: images[images["split"] == name] for name in ("train", "tune")}
    kind = "binary" if len(task["classes"]) == 2 else "multiclass"
    predictor = MultiModalPredictor(
        label="label", problem_type=kind, eval_metric="roc_auc_ovr" if kind != "binary" else None
    )
    predictor.fit(
        parts["train"][["image", "label"]],
        tuning_data=parts["tune"][["image", "label"]],
        time_limit=60 * minutes,
        hyperparameters={
            "model.names": ["timm_image"],
            "model.timm_image.checkpoint_name": str(folder / "weights"),
            "env.num_gpus": 0,
            "env.num_workers": 0,
            "env.num_workers_inference": 0,
        },
        seed=0,
    )
    asked = images[images["split"] != "train"]
    p = predictor.predict_proba(asked[["image"]], as_pandas=True)
    table = np.stack([p[name].to_numpy() for name in task["classes"]], axis=1)
    np.savez(folder / "autogluon.npz", files=np.array(asked["file"], dtype=str), p=table)


if __name__ == "__main__":
    main()
