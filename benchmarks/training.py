"""Images per second of training and prediction, against three peers and against the bare step.

    python benchmarks/training.py [--quick]

R50x1 at 64, 128 and 224 px and a ViT-S at 224 px, each from the same JPEG files. The contenders are
in `contest`:

- ours:      `training.loop.fit` on prepared images, in our precision, started like our worker
- bare:      our step on random tensors, without data
- trainer:   the Hugging Face Trainer with its defaults
- timm:      a loop like timm's train.py: its loader with 4 workers, its SGD
- bit:       a loop like google-research/big_transfer's bit_pytorch/train.py: 8 workers, the loss
             fetched at every step (on timm's network, whose standardisation is faster)

Peers run once with their defaults, in float32, and once (`+`) in our precision and memory format.
Every contender is a separate process that waits while others take their turn. A turn is one
warm-up step and several timed steps. Medians over rounds are compared. Our images are prepared
beforehand, once for all runs of a study; that rate is printed separately. Turns write no
checkpoint. The peak is that of a large matrix product in our precision, measured on the same
threads. On a busy machine, processor time, without that of a loader's workers, is more reliable
than the rate.

Prediction: `evaluation.inference.predict` against timm's network in evaluation mode, in float32, on
tensors in memory. Both have the same weights, trained at 64 px and then further at 224 px on half
of the images, and predict the other half. With --quick the weights are random, and AUROC is not
judged.

Goals: training 1.5 × the best peer, 1.1 × the best in our precision, 0.95 × the bare step;
prediction 1.8 × at 64 px and 1.3 × at 224 px, AUROC within 0.001. About 15 minutes.
Needs `pip install -e '.[bench]'`. Measured on a CPU; no claim is made for other devices.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from contest.turns import CASES
from finetune import make_images

GOALS = {"defaults": 1.5, "our precision": 1.1, "bare": 0.95}
PREDICTION = {64: 1.8, 224: 1.3}
AUROC_CHANGE = 0.001
PEERS = ("trainer", "timm", "bit")
OWN = ("ours", "bare", "predict-ours")
Said = dict[str, dict[str, float]]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one case, one peer, under a minute")
    quick = parser.parse_args().quick
    names = ["r50x1-64"] if quick else list(CASES)
    contenders = ["ours", "bare", *PEERS, *(f"{peer}+" for peer in PEERS)]
    if quick:
        contenders = ["ours", "bare", "timm", "timm+"]
    rounds = 1 if quick else 3
    met: list[bool] = []
    with tempfile.TemporaryDirectory() as folder:
        make_images(Path(folder), 256 if quick else 1024, 256)
        for name in names:
            met += judged(name, taken_in_turn(name, contenders, folder, rounds))
        for name in names:
            if CASES[name].predicted:
                if not quick:
                    taken_in_turn(name, ["trained"], folder, 0)
                turns = taken_in_turn(name, ["predict-ours", "predict-timm"], folder, rounds)
                met += judged_prediction(name, turns, with_auroc=not quick)
    print(f"goals missed: {met.count(False)} of {len(met)}")
    return 0 if all(met) else 1


def taken_in_turn(case: str, contenders: list[str], folder: str, rounds: int) -> Said:
    """Medians over the rounds of each contender's reported numbers."""
    from medtransfer.engines.local import ALLOCATOR

    plain = {k: v for k, v in os.environ.items() if not k.startswith("OPENBLAS_")}
    script = str(Path(__file__).parent / "contest" / "contenders.py")
    running: dict[str, subprocess.Popen[str]] = {}
    said: dict[str, list[dict[str, float]]] = {name: [] for name in contenders}
    try:
        for name in contenders:
            running[name] = subprocess.Popen(
                [sys.executable, script, name, case, folder],
                env=plain | (ALLOCATOR if name in OWN else {}),  # like our worker
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            heard(running[name])  # ready and waiting
        for _ in range(rounds):
            for name, process in running.items():
                assert process.stdin is not None
                process.stdin.write("go\n")
                process.stdin.flush()
                said[name].append(heard(process))
    finally:
        for process in running.values():
            process.terminate()  # not killed, so that its loader's workers end too
            process.wait()
    return {
        name: {what: statistics.median(turn[what] for turn in turns) for what in turns[0]}
        for name, turns in said.items()
        if turns
    }


def heard(process: "subprocess.Popen[str]") -> dict[str, float]:
    """Next report line of a contender: ``#rate 12.5 auroc 0.8``."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("#"):
            words = line[1:].split()
            return dict(zip(words[::2], map(float, words[1::2]), strict=True))
    raise SystemExit(f"a contender ended with code {process.wait()}: {process.args}")


def judged(name: str, turns: Said) -> list[bool]:
    speed = {contender: said["rate"] for contender, said in turns.items()}
    per_image, peak = turns["ours"]["flops"], turns["ours"]["peak"]
    for contender, rate in speed.items():
        share = rate * per_image / peak
        work = turns[contender]["work"]
        print(
            f"{name:>10}  {contender:<8} {rate:7.1f} images/s  {share:4.0%} of the peak  "
            f"{work:6.1f} ms of processor an image"
        )
    rivals = {
        "defaults": max((p for p in PEERS if p in speed), key=speed.__getitem__),
        "our precision": max((f"{p}+" for p in PEERS if p in speed), key=speed.__getitem__),
        "bare": "bare",
    }
    times = {kind: speed["ours"] / speed[rival] for kind, rival in rivals.items()}
    parts = [f"{times[kind]:.2f} × {rivals[kind]} (goal {goal})" for kind, goal in GOALS.items()]
    prepared = turns["ours"]["prepared"]
    print(f"{name}: {', '.join(parts)}; images prepared at {prepared:.0f}/s", flush=True)
    return [times[kind] >= goal for kind, goal in GOALS.items()]


def judged_prediction(name: str, turns: Said, *, with_auroc: bool) -> list[bool]:
    own, peer = turns["predict-ours"], turns["predict-timm"]
    times, goal = own["rate"] / peer["rate"], PREDICTION[CASES[name].crop]
    print(
        f"{name} predicted: {own['rate']:.1f} images/s, {times:.2f} × timm's evaluation "
        f"(goal {goal})",
        flush=True,
    )
    if not with_auroc:
        return [times >= goal]
    change = abs(own["auroc"] - peer["auroc"])
    print(
        f"{name} predicted: AUROC {peer['auroc']:.4f} changed by {change:.5f} "
        f"(goal {AUROC_CHANGE})",
        flush=True,
    )
    return [times >= goal, change <= AUROC_CHANGE]


if __name__ == "__main__":
    sys.exit(main())
