# The two commands, in a container:
#     docker build -t convrunner .
#     docker run --rm -it -v "$PWD/outputs:/experiments/outputs" convrunner data=digits
# Outputs and MLflow's store stay in the folder outputs/ of the host.
FROM python:3.11-slim AS build
RUN apt-get update && apt-get install -y --no-install-recommends cmake g++ && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels . ./native

FROM python:3.11-slim
RUN apt-get update && apt-get install -y --no-install-recommends libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build /wheels /wheels
COPY requirements.lock /wheels/
RUN pip install --no-cache-dir --constraint /wheels/requirements.lock /wheels/*.whl && rm -r /wheels
WORKDIR /experiments
ENV MLFLOW_DISABLE_TELEMETRY=true
ENTRYPOINT ["runner"]
