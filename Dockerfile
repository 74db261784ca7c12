# medtransfer in a container: CPU by default, a CUDA base as a build argument.
#
#   docker build -t medtransfer .
#   docker build -t medtransfer:cuda --build-arg BASE=nvidia/cuda:12.8.1-base-ubuntu24.04 .
#
# docs/how-to/install.md says how to run it with a read-only root.
ARG BASE=debian:trixie-slim
FROM ${BASE} AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src ./src
# EXTRAS: of pyproject.toml, as weights,onnx,serve.  PIP_OPTIONS: as an index of CPU-only torch.
ARG EXTRAS=weights
ARG PIP_OPTIONS=
# hadolint ignore=SC2086
RUN python3 -m venv /opt/medtransfer \
    && /opt/medtransfer/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        ${PIP_OPTIONS} --constraint constraints.txt ".[${EXTRAS}]"

FROM ${BASE}
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 medtransfer \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin medtransfer
COPY --from=build /opt/medtransfer /opt/medtransfer
# All that is written outside /data goes to /tmp, so the root may be read-only.
ENV PATH=/opt/medtransfer/bin:$PATH \
    HOME=/tmp \
    NUMBA_CACHE_DIR=/tmp/numba \
    PYTHONDONTWRITEBYTECODE=1
WORKDIR /data
USER 10001:10001
ENTRYPOINT ["medtransfer"]
CMD ["--help"]
