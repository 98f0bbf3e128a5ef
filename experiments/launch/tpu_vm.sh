#!/bin/bash
# One run over all workers of a TPU VM.
#
#   experiments/launch/tpu_vm.sh my-tpu us-central2-b train --method=hasa --workdir=/shared/large
#
# Every worker has the checkout in CHECKOUT (~/hasa_jax) with its environment in .venv, or in
# PYTHON, a path there. The workdir lies on a file system that all workers share, such as Filestore.
# JAX finds the other workers by itself. The same command goes on from the latest checkpoint, also
# on a TPU VM that replaces a preempted one.
set -euo pipefail

if (($# < 3)); then
  echo "error: name what runs, and where: tpu_vm.sh NAME ZONE train|compare [FLAG...]" >&2
  exit 2
fi
name=$1 zone=$2 script=$3
shift 3

# The command crosses two shells, so every part of it is quoted.
printf -v command '%q ' "${PYTHON:-.venv/bin/python}" -m "experiments.$script" --coordinator=auto "$@"
printf -v folder '%q' "${CHECKOUT:-hasa_jax}"
exec gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all \
  --command="cd $folder && exec $command"
