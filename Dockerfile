# One image for every part; compose.yaml says which part a container is.
FROM python:3.11-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /opt/dashtrade

# Before the code, so that a change of the code does not install everything anew
COPY requirements.txt ./
RUN python -m pip install --no-deps --require-hashes --requirement requirements.txt

RUN useradd --system --uid 10001 --home-dir /tmp --shell /usr/sbin/nologin dashtrade
COPY . .
RUN python -m compileall -q .

USER 10001:10001
