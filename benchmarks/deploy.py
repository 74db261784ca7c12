"""Predicting with a bundle: pipeline, start, server, memory.

    python benchmarks/deploy.py [--quick] [--bundle FILE.medt]

(a) Pipeline: images of 512 px from disk to decisions, against the slower of decode and network
    alone (goal 0.9), and against timm's plain float32 evaluation loop on the same decoded images
    (goals 1.8 where bfloat16 units pay, 1.15 elsewhere). Medians of alternating turns.
(b) Start: from an empty process to the first prediction, with torch (goal 4 s) and with
    onnxruntime (goal 1.5 s).
(c) Server: cases per second of 32 clients that each wait for their answer, against the bare loop
    over the same files in one process (goal 0.8), and the 95th percentile of their waits.
(d) Memory: peak of a process that predicts 1,000 pictures of 64 px, and ten times as many; not with
    --quick.

Without --bundle a network with random weights is made: EfficientNet-Lite0 at 224 px. --quick takes
fewer images and turns. The load of the machine is printed; figures of a loaded one are no goal.
"""

import argparse
import http.client
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image

from medtransfer import (
    BundleModel,
    export_bundle,
    load_bundle,
    remake_bundle,
    run_study,
)
from medtransfer.data.phantom import Hospital, Phantom, write_phantom
from medtransfer.deploy.bundle.export import export_options
from medtransfer.deploy.inference.pixels import decode_images
from medtransfer.study.config import Study

SIDE, BATCH = 512, 32
CLIENTS = 32
RUNG, CROP = "scratch/effnet-lite0", 224
START = (
    "import sys; from medtransfer import load_bundle; "
    "load_bundle(sys.argv[1], device='cpu', runtime=sys.argv[2]).predict(sys.argv[3])"
)
MEMORY = (
    "import re, sys; from pathlib import Path; from medtransfer import load_bundle, predict_files; "
    "predict_files(load_bundle(sys.argv[1], device='cpu'), sys.argv[3:], sys.argv[2]); "
    # not ru_maxrss, which a process inherits from the one that started it
    "print(int(re.search(r'VmHWM:\\s+(\\d+)', Path('/proc/self/status').read_text())[1]) / 1000)"
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer images and turns")
    parser.add_argument("--bundle", type=Path, help="with a network that timm can build")
    options = parser.parse_args()
    count, turns = (48, 2) if options.quick else (512, 5)
    load, cores = os.getloadavg()[0], os.cpu_count()
    print(f"load {load:.1f} on {cores} cores, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        path = options.bundle or made_bundle(folder)
        images = write_images(folder / "images", count)
        model = load_bundle(path, device="cpu")
        pipeline(model, images, turns)
        start(path, images[0], turns)
        server(path, model, images, turns)
        if not options.quick:
            memory(path, folder)


def made_bundle(folder: Path) -> Path:
    """A bundle of a network that was trained for a moment, with ONNX."""
    hospitals = {"north": Hospital(40), "south": Hospital(10)}
    write_phantom(Phantom(hospitals=hospitals, size=64, signal=1.5), folder / "lesions.parquet")
    study = Study.model_validate(
        {
            "name": "deploy",
            "data": {
                "manifest": folder / "lesions.parquet",
                "task": "binary",
                "targets": ["malignant"],
                "image": {"resize": CROP, "crop": CROP},
                "split": {"train_cohorts": ["north"]},
            },
            "rungs": [RUNG],
            "seeds": [0],
            "training": {"batch_size": 8, "steps": 1, "checks": 1, "tuning": {"mode": "linear"}},
            "evaluation": {"replicates": 20, "permutations": 0},
        }
    )
    made = export_bundle(run_study(study, folder / "study"), folder / "plain.medt")
    return remake_bundle(made.path, folder / "onnx.medt", export_options(onnx=True)).path


def write_images(folder: Path, count: int, side: int = SIDE) -> list[Path]:
    """Photographs of smooth shades, as JPEG."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for number in range(count):
        small = rng.integers(0, 255, (16, 16, 3), dtype=np.uint8)
        image = Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC)
        image.save(folder / f"{number:05d}.jpg", quality=90)
    return sorted(folder.iterdir())


def pipeline(model: BundleModel, images: list[Path], turns: int) -> None:
    """Print images per second of decode, network, both together, and timm's loop."""
    source = model.source(images)
    every = range(len(images))
    decoded: Any = [out for _, out in decode_images(source.images(every), model.rules)]
    pixels = [image.pixels for image in decoded]
    pictures = [[image] for image in pixels]
    network = plain_network(model)

    def decode() -> None:
        for _ in decode_images(source.images(every), model.rules):
            pass

    def score() -> None:
        for first in range(0, len(pictures), 128):
            model.networks.scores(pictures[first : first + 128])

    def evaluate() -> None:
        with torch.inference_mode():
            for first in range(0, len(pixels), BATCH):
                batch = np.stack(pixels[first : first + BATCH])
                tensor = torch.as_tensor(batch).permute(0, 3, 1, 2).float().div_(255)
                network(tensor.contiguous())

    contenders: dict[str, Callable[[], object]] = {
        "decode": decode,
        "network": score,
        "pipeline": lambda: model.score(source, every),
        "timm": evaluate,
    }
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(turns + 1):
        for name, contender in contenders.items():
            begun = time.perf_counter()
            contender()
            if turn:  # the first warms up
                seconds[name].append(time.perf_counter() - begun)
    rates = {name: len(images) / statistics.median(times) for name, times in seconds.items()}
    precision = model.facts.network.precision
    print(f"{model.facts.network.rung}, {model.facts.input.crop} px, {precision}, images/s:")
    for name, rate in rates.items():
        print(f"  {name:<9} {rate:8.1f}")
    slower = min(rates["decode"], rates["network"])
    print(f"  pipeline against the slower of decode and network: {rates['pipeline'] / slower:.2f}")
    print(f"  network against timm's float32 loop: {rates['network'] / rates['timm']:.2f}")


def plain_network(model: BundleModel) -> torch.nn.Module:
    """The bundle's architecture as timm makes it, in evaluation mode."""
    name = model.facts.network.architecture.timm
    if not name:
        raise SystemExit("timm cannot build this bundle's network: name another with --bundle.")
    classes = len(model.facts.targets)
    network: Any = timm.create_model(name.split(".")[0], pretrained=False, num_classes=classes)
    return network.eval()


def start(path: Path, image: Path, turns: int) -> None:
    """Print seconds from an empty process to the first prediction."""
    for runtime in ("torch", "onnx"):
        seconds: list[float] = []
        used = processor_seconds()
        for _ in range(turns):
            begun = time.perf_counter()
            subprocess.run(
                [sys.executable, "-c", START, str(path), runtime, str(image)], check=True
            )
            seconds.append(time.perf_counter() - begun)
        used = (processor_seconds() - used) / turns
        median = statistics.median(seconds)
        print(f"first prediction with {runtime}: {median:.2f} s, {used:.2f} s of processor time")


def server(path: Path, model: BundleModel, images: list[Path], turns: int) -> None:
    """Print cases per second of a server with many clients, and of the bare loop, in turns."""
    bodies = [image.read_bytes() for image in images] * max(1, -(-2 * CLIENTS // len(images)))
    source = model.source(images)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [sys.executable, "-m", "medtransfer", "serve", str(path), "--port", port]
    command += ["--device", "cpu", "--requests-per-minute", "0"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as served:
        try:
            wait_for(int(port), served)
            asked(int(port), bodies[:CLIENTS])
            rates: dict[str, list[float]] = {"bare": [], "served": []}
            waits: list[float] = []
            for _ in range(turns):
                begun = time.perf_counter()
                model.decide(source, model.score(source, range(len(images))))
                rates["bare"].append(len(images) / (time.perf_counter() - begun))
                begun = time.perf_counter()
                waits += asked(int(port), bodies)
                rates["served"].append(len(bodies) / (time.perf_counter() - begun))
        finally:
            served.terminate()
    bare, rate = (statistics.median(rates[name]) for name in ("bare", "served"))
    p95 = float(np.quantile(waits, 0.95))
    print(
        f"server, {CLIENTS} clients: {rate:.1f} cases/s, bare loop {bare:.1f} ({rate / bare:.2f}); "
        f"waits: median {statistics.median(waits):.2f} s, 95 % {p95:.2f} s"
    )


def wait_for(port: int, served: "subprocess.Popen[bytes]") -> None:
    """Wait until the server answers."""
    while served.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("The server did not start.")


def asked(port: int, bodies: list[bytes]) -> list[float]:
    """Seconds that each request waited; as many clients as `CLIENTS` send them."""

    def client(number: int) -> list[float]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        waits: list[float] = []
        for body in bodies[number::CLIENTS]:
            begun = time.perf_counter()
            connection.request("POST", "/predict", body, {"Content-Type": "image/jpeg"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise SystemExit(f"The server answered {answer.status}.")
            waits.append(time.perf_counter() - begun)
        connection.close()
        return waits

    with ThreadPoolExecutor(CLIENTS) as pool:
        return [wait for waits in pool.map(client, range(CLIENTS)) for wait in waits]


def processor_seconds() -> float:
    """Processor time of the processes that this one has started and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def memory(path: Path, folder: Path) -> None:
    """Print the peak of a process for some small pictures, and for ten times as many.

    A pass through the network holds 128 images, so that 1,000 are enough for its peak.
    """
    pictures = write_images(folder / "pictures", 10_000, side=64)
    for number in (1000, 10_000):
        some = folder / f"first{number}"
        some.mkdir()
        for picture in pictures[:number]:
            os.link(picture, some / picture.name)
        command = [
            sys.executable,
            "-c",
            MEMORY,
            str(path),
            str(folder / f"{number}.csv"),
            str(some),
        ]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(f"peak memory for {number:,} images: {float(done.stdout.split()[-1]):,.0f} MB")


if __name__ == "__main__":
    main()
