# Both daemons and kubectl-lastnode in one image: make image builds it, docs/install.md says how to publish it.
#
# The same commit gives the same files: every package is pinned by its hash, bytecode carries a hash of its source
# instead of a time, and tools/image.py has the builder give all files the time of the commit.

# Any image with Python 3.11 or newer as python3, with its venv module. By digest where the whole image is to be repeated.
ARG BASE=docker.io/library/python:3.13-slim-bookworm

FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 SOURCE_DATE_EPOCH=315532800
# pip stands beside what it installs, not in it.
RUN python3 -m venv /tools && python3 -m venv --without-pip /opt/lastnode
WORKDIR /src
COPY requirements/ requirements/
# requirements/run.txt is the lock of lastnode[all]: what recorder, extender and kubectl-lastnode need.
# The builder's own pip configuration and certificates, where it has some: they stay out of the image.
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=pip.pem,target=/etc/pip.pem \
    /tools/bin/pip install --quiet --require-hashes --only-binary :all: -r requirements/build.txt \
 && /tools/bin/pip --python /opt/lastnode/bin/python install --quiet --require-hashes --only-binary :all: --no-compile \
      -r requirements/run.txt
COPY . .
# Half of what was installed is Kubernetes' asynchronous client, and half of the rest would be bytecode of its models:
# no program of ours imports either.
RUN chmod -R u=rwX,go=rX . \
 && /tools/bin/pip wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir dist . \
 && /tools/bin/pip --python /opt/lastnode/bin/python install --quiet --no-index --no-deps --no-compile dist/*.whl \
 && rm -r /opt/lastnode/lib/python3*/site-packages/kubernetes/aio \
 && /opt/lastnode/bin/python -m compileall -q -f --invalidation-mode unchecked-hash \
      -x 'kubernetes/client/(api|models)/' /opt/lastnode/lib

FROM ${BASE}
LABEL org.opencontainers.image.title="lastnode" \
      org.opencontainers.image.description="Brings a workload's next session back to the node its last one ran on" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/lastnode /opt/lastnode
ENV PATH=/opt/lastnode/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# glibc is to give back the memory of whole pages of a list. Left alone, it takes each thread's large blocks from a heap of
# that thread's own and, once one was freed, no block under 32 MB from the system: after a list of 5 MB pages in three
# threads tens of MB stay. A C library that is not glibc (musl) does not know them and needs nothing of it.
ENV MALLOC_ARENA_MAX=1 MALLOC_MMAP_THRESHOLD_=262144
USER 65532:65532
# 8888: the extender's verbs, probes and metrics; 8889: the recorder's probes and metrics.
EXPOSE 8888 8889
CMD ["lastnode-extender", "--help"]
