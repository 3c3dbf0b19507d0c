# syntax=docker/dockerfile:1
# masc-eval with what it needs, and no weights: those come from the hub at their first use (HF_TOKEN), or
# lie in what is mounted at /home/masc/.cache/huggingface.
#
#   docker build --tag masc-eval .                                # for NVIDIA GPUs
#   docker build --tag masc-eval:cpu --build-arg DEVICE=cpu .
#
# torch brings CUDA's libraries; the base has what NVIDIA's runtime looks for. A release names bases by
# digest (.github/workflows/release.yaml); both have to be of one Ubuntu, whose Python all stages use.
ARG DEVICE=cuda
ARG BASE=ubuntu:24.04
ARG CUDA_BASE=nvidia/cuda:13.0.2-base-ubuntu24.04

FROM ${BASE} AS build
# Debian's own fixes are wanted, and old versions leave its mirrors.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/masc
ENV PATH=/opt/masc/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY masc_core masc_core
# jobs/conf, which the package brings along, is a link to it.
COPY conf conf
COPY jobs jobs

FROM build AS build-cpu
# torch without CUDA, which PyPI does not have.
RUN pip install --constraint constraints.txt --index-url https://download.pytorch.org/whl/cpu torch torchvision \
    && pip install --constraint constraints.txt '.[s3,gcs,azure,http]'

FROM build AS build-cuda
RUN pip install --constraint constraints.txt '.[s3,gcs,azure,http]'

FROM ${BASE} AS base-cpu
FROM ${CUDA_BASE} AS base-cuda

# These two are stages of this file.
# hadolint ignore=DL3006
FROM build-${DEVICE} AS built
# hadolint ignore=DL3006
FROM base-${DEVICE}
# wget is what KubeRay's probes call; tini hands signals on, and reaps what Ray leaves.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 tini wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 1001 --create-home masc
COPY --from=built /opt/masc /opt/masc
COPY conf /home/masc/conf
COPY --chmod=755 launch/on-nodes.sh /usr/local/bin/on-nodes
COPY --chmod=755 launch/until-done.sh /usr/local/bin/until-done
ENV PATH=/opt/masc/bin:$PATH PYTHONUNBUFFERED=1
USER 1001
WORKDIR /home/masc
ENTRYPOINT ["tini", "--"]
CMD ["masc-eval"]
