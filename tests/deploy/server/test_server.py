"""The server gives the numbers of `predict`, turns away what it must, and writes nothing down."""

import asyncio
import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from tests.deploy import handmade
from tests.deploy.dicom_images import PATIENT, write_dicom

from medtransfer.deploy.inference.model import BundleModel, load_bundle
from medtransfer.deploy.server.config import ServerConfig, server_config
from medtransfer.deploy.server.requests import RateLimit, RequestError, read_body, request_case
from medtransfer.deploy.server.serve import serve
from medtransfer.errors import ConfigError

pytest.importorskip("fastapi", reason="FastAPI is absent (extra serve)")
TOKEN = "a token of the ward"
BOUNDARY = "--boundary--of"


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory: pytest.TempPathFactory) -> BundleModel:
    """A bundle without a network: whatever predicts with it fails."""
    path = tmp_path_factory.mktemp("bundle") / "hand.medt"
    handmade.write_by_hand(path)
    return load_bundle(path)


def client_of(model: BundleModel, **settings: Any) -> Any:
    from starlette.testclient import TestClient

    from medtransfer.deploy.server.app import server_app

    return TestClient(server_app(model, ServerConfig(**settings)), raise_server_exceptions=False)


def form(*images: bytes) -> dict[str, Any]:
    """A multipart request."""
    disposition = 'Content-Disposition: form-data; name="i"; filename="Doe.dcm"'
    head = f"--{BOUNDARY}\r\n{disposition}\r\n\r\n".encode()
    parts = [head + image + b"\r\n" for image in images]
    body = b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()
    return {
        "content": body,
        "headers": {"Content-Type": f'multipart/form-data; boundary="{BOUNDARY}"'},
    }


def test_answers_have_the_numbers_of_predict(
    bundle_model: BundleModel, phantom_folder: Path
) -> None:
    table = pl.read_parquet(phantom_folder / "lesion.parquet").head(3)
    outcome = bundle_model.predict(phantom_folder / "lesion.parquet").frame
    with client_of(bundle_model) as client:
        for row in table.iter_rows(named=True):
            answer = client.post("/predict", content=row["image"]).json()
            expected = outcome.filter(case_id=row["case_id"]).row(0, named=True)
            assert answer["bundle"] == bundle_model.bundle.digest
            assert answer["refused"] == []
            for name, value in answer["prediction"].items():
                assert value == (
                    pytest.approx(expected[name], abs=1e-5)
                    if isinstance(value, float) and not name.startswith("ood_")
                    else pytest.approx(expected[name], rel=1e-3)
                    if isinstance(value, float)
                    else expected[name]
                )
            assert not {"case_id", "patient_id"} & set(answer["prediction"])


def test_several_images_are_one_case_and_a_bad_one_is_named_by_its_place(
    bundle_model: BundleModel, phantom_folder: Path
) -> None:
    first, second = pl.read_parquet(phantom_folder / "lesion.parquet")["image"][:2]
    with client_of(bundle_model) as client:
        answer = client.post("/predict", **form(first, b"no image\r\n\r\n--", second)).json()
        nothing = client.post("/predict", content=b"no image")
    assert (answer["prediction"]["images"], answer["prediction"]["images_refused"]) == (2, 1)
    assert answer["prediction"]["deferred"] is True
    (refused,) = answer["refused"]
    assert refused["image"] == 1
    assert nothing.status_code == 422
    assert nothing.json()["prediction"] is None
    assert nothing.json()["refused"][0]["reason"].startswith("the image ")


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer another"}])
def test_without_the_token_nothing_is_told(by_hand: BundleModel, headers: dict[str, str]) -> None:
    with client_of(by_hand, token=TOKEN) as client:
        answers = [client.post("/predict", content=b"x", headers=headers)]
        answers.append(client.get("/bundle", headers=headers))
        assert client.get("/health").json() == {
            "status": "ok",
            "bundle": by_hand.bundle.digest[:12],
        }
        allowed = client.get("/bundle", headers={"Authorization": f"Bearer {TOKEN}"})
    assert [answer.status_code for answer in answers] == [401, 401]
    assert TOKEN not in answers[0].text
    assert allowed.json()["targets"][0]["thresholds"] == {"sens90": 0.4}


def test_large_and_frequent_requests_are_turned_away(by_hand: BundleModel) -> None:
    with client_of(by_hand, max_bytes=100, requests_per_minute=4) as client:
        large = client.post("/predict", content=b"x" * 101)
        empty = client.post("/predict", content=b"")
        client.post("/predict", content=b"")
        client.post("/predict", content=b"")
        often = client.post("/predict", content=b"")
    with client_of(by_hand, max_images=1) as client:
        several = client.post("/predict", **form(b"a", b"b"))
    assert large.status_code == 413
    assert large.json() == {"reason": "A body of more than 100 bytes is not taken."}
    assert several.status_code == 413
    assert several.json() == {"reason": "A case of more than 1 image is not taken."}
    assert (empty.status_code, empty.json()["reason"]) == (400, "The request has no image.")
    assert often.status_code == 429
    assert int(often.headers["Retry-After"]) >= 1


def test_a_bundle_that_expires_while_the_server_runs_predicts_no_more(tmp_path: Path) -> None:
    path = tmp_path / "old.medt"
    handmade.write_by_hand(path, handmade.facts(expires=date(2020, 1, 1)))
    model = load_bundle(path, after_expiry=True)
    with client_of(model) as client:
        assert client.get("/health").json()["status"] == "ok"
        model.after_expiry = False  # its last day has passed
        answer = client.post("/predict", content=b"x")
        assert client.get("/health").json()["status"] == "expired"
    assert (answer.status_code, answer.json()["reason"]) == (
        503,
        "The bundle expired on 2020-01-01.",
    )


def test_a_bucket_fills_again_and_every_client_has_its_own() -> None:
    now = 0.0
    limit = RateLimit(2, lambda: now)
    for client in ("a", "a", "b"):
        limit.take(client)
    with pytest.raises(RequestError, match="More than 2 requests a minute") as error:
        limit.take("a")
    assert error.value.retry_after == 31
    now = 31.0
    limit.take("a")
    RateLimit(0).take("a")


def test_bodies_are_read_up_to_the_limit_and_no_further() -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 10
            yield b"x" * 10

    with pytest.raises(RequestError, match="more than 25 bytes"):
        asyncio.run(read_body(endless(), None, 25))
    assert read == 30


def test_parts_of_a_form_are_cut_at_the_boundary_alone() -> None:
    images = [b"\r\n--boundary", b"\x00\r\n\r\n\xff--", b"a"]
    request = form(*images)
    kind = request["headers"]["Content-Type"]
    assert request_case(request["content"], kind, 3).images == images
    with pytest.raises(RequestError, match="more than 2 images"):
        request_case(request["content"], kind, 2)
    with pytest.raises(RequestError, match="no boundary"):
        request_case(b"x", "multipart/form-data", 2)
    with pytest.raises(RequestError, match="no image"):
        request_case(b"--b--", "multipart/form-data; boundary=b", 2)


def test_fields_of_a_form_are_clinical_data_if_the_bundle_sees_any() -> None:
    def body(*fields: tuple[str, bytes]) -> bytes:
        image = b'--b\r\nContent-Disposition: form-data; name="age"; filename="63"\r\n\r\nI\r\n'
        named = (
            b'--b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n'
            % (name.encode(), content)
            for name, content in fields
        )
        return image + b"".join(named) + b"--b--"

    kind, names = "multipart/form-data; boundary=b", ("age", "sex")
    case = request_case(body(("age", b" 63 "), ("sex", b"")), kind, 2, names)
    assert (case.images, case.clinical) == ([b"I"], {"age": "63"})
    assert request_case(body(("age", b"63")), kind, 2).images == [b"I", b"63"]
    for fields in ((("Doe", b"1"),), (("age", b"1"), ("age", b"2"))):
        with pytest.raises(RequestError, match=r"once each: age, sex\.$") as raised:
            request_case(body(*fields), kind, 2, names)
        assert "Doe" not in raised.value.reason
    with pytest.raises(RequestError, match="no text in UTF-8"):
        request_case(body(("age", b"\xff")), kind, 2, names)
    with pytest.raises(RequestError, match="more than 1,000 characters"):
        request_case(body(("age", b"6" * 1001)), kind, 2, names)


def test_nothing_of_a_request_is_logged_and_failures_quote_nothing(
    by_hand: BundleModel, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pixels = np.zeros((8, 8), dtype=np.uint8)
    content = write_dicom(tmp_path / "Doe.dcm", pixels, study="1").read_bytes()
    caplog.set_level(logging.DEBUG)
    with client_of(by_hand) as client:
        failed = client.post("/predict", **form(content))
        client.get(f"/studies/{PATIENT}?name={PATIENT}")
    assert failed.status_code == 500  # the bundle has no network
    text = caplog.text + failed.text
    ours = [r.getMessage() for r in caplog.records if r.name.startswith("medtransfer")]
    assert any(re.fullmatch(r"POST /predict 500 in \d+ ms", line) for line in ours)
    assert any(line.startswith("GET (another path) 404") for line in ours)
    assert "Doe" not in "".join(ours) + failed.text
    assert "person-1" not in text


def test_its_page_asks_nobody_else_and_names_of_other_hosts_are_refused(
    by_hand: BundleModel,
) -> None:
    with client_of(by_hand) as client:
        page = client.get("/")
        description = client.get("/openapi.json").json()
        foreign = client.get("/health", headers={"Host": "evil.example"})
        assert client.get("/docs").status_code == 404
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert "http" not in re.sub(r"over HTTP", "", page.text)
    assert "POST /predict" in page.text
    assert set(description["paths"]) == {"/health", "/bundle", "/predict"}
    assert foreign.status_code == 400
    assert page.headers["Cache-Control"] == "no-store"


def test_beyond_this_machine_a_token_is_needed(
    by_hand: BundleModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0 can be reached from other machines"):
        server_config(host="0.0.0.0")
    with pytest.raises(ConfigError, match="needs a token"):
        serve(by_hand, ServerConfig(host="192.0.2.1"))
    monkeypatch.setenv("MEDTRANSFER_TOKEN", "short")
    with pytest.raises(ConfigError, match="has 5 characters"):
        server_config()
    (tmp_path / "token").write_text(f"{TOKEN}\n", "utf-8")
    config = server_config(host="0.0.0.0", token_file=tmp_path / "token")
    assert (config.token, config.is_local) == (TOKEN, False)
    (tmp_path / "token").write_bytes(bytes(range(128, 160)))
    with pytest.raises(ConfigError, match="the token has 32 characters"):
        server_config(token_file=tmp_path / "token")
    with pytest.raises(ConfigError) as error:
        server_config(port=70_000, max_megabytes=0, certificate=tmp_path / "none")
    for fault in ("--port is 70000", "--max-megabytes is 0", "does not exist", "belong together"):
        assert fault in str(error.value)


def test_a_certificate_that_is_none_is_refused(bundle_model: BundleModel, tmp_path: Path) -> None:
    file = tmp_path / "no certificate"
    file.write_bytes(b"x")
    with pytest.raises(ConfigError, match="are no TLS certificate with its key"):
        serve(bundle_model, ServerConfig(certificate=file, key=file), on_start=lambda _: None)


def test_any_address_of_this_machine_answers_under_its_own_name(by_hand: BundleModel) -> None:
    with client_of(by_hand, host="127.0.0.2") as client:
        named = client.get("/health", headers={"Host": "127.0.0.2:8000"})
        foreign = client.get("/health", headers={"Host": "evil.example"})
    assert (named.status_code, foreign.status_code) == (200, 400)


@pytest.fixture
def running(bundle_model: BundleModel) -> Iterator[str]:
    """Address of a server in a process of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["serve", str(bundle_model.bundle.path), "--port", str(port), "--device", "cpu"]
    environment = {**os.environ, "MEDTRANSFER_TOKEN": TOKEN}
    process = subprocess.Popen(
        [sys.executable, "-m", "medtransfer", *command, "--requests-per-minute", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    address = f"http://127.0.0.1:{port}"
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/health", timeout=1).close()
            break
        except OSError:
            time.sleep(0.2)
    yield address
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert "POST /predict 200" in output
    assert "Traceback" not in output


@pytest.mark.slow
def test_thirty_two_clients_get_the_same_numbers(
    running: str, bundle_model: BundleModel, phantom_folder: Path
) -> None:
    table = pl.read_parquet(phantom_folder / "lesion.parquet")
    contents = table["image"].to_list()
    outcome = bundle_model.predict(phantom_folder / "lesion.parquet").frame
    expected = dict(zip(outcome["case_id"], outcome["probability_malignant"], strict=True))
    times: list[float] = []

    def ask(place: int) -> float:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        request = urllib.request.Request(f"{running}/predict", contents[place], headers)
        begun = time.perf_counter()
        with urllib.request.urlopen(request, timeout=120) as answer:
            value = json.load(answer)["prediction"]["probability_malignant"]
        times.append(time.perf_counter() - begun)
        return float(value)

    places = [place % len(contents) for place in range(320)]
    begun = time.perf_counter()
    with ThreadPoolExecutor(32) as clients:
        values = list(clients.map(ask, places))
    spent = time.perf_counter() - begun
    for place, value in zip(places, values, strict=True):
        assert value == pytest.approx(expected[table["case_id"][place]], abs=1e-5)
    print(f"{len(places) / spent:.0f} requests a second, p95 {np.quantile(times, 0.95):.3f} s")
    assert np.quantile(times, 0.95) < 30
