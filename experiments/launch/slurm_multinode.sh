#!/bin/bash
# One run over several nodes of SLURM: every task is a process of it.
#
#   sbatch --nodes=4 experiments/launch/slurm_multinode.sh train --method=hasa --workdir=runs/large
#
# Submit it from the checkout, with the Python environment active (or PYTHON=.../bin/python). The
# workdir lies on a file system that all nodes share. JAX finds the other processes by itself. On
# nodes with several GPUs, give one task to each, such as --ntasks-per-node=4 --gpus-per-node=4:
# JAX gives a task the GPU of its number on the node. After SIGTERM, two minutes before the time is
# up, all processes leave a checkpoint and exit with 143. If one of them is lost, the others exit
# with 75, and srun with the highest status, which is 137 of a process that was killed. In all these
# cases the job is queued again, after lost processes ten times at most, and the same command goes
# on.
#SBATCH --job-name=hasa
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log
set -euo pipefail

if (($# == 0)); then
  echo "error: name what runs: slurm_multinode.sh train|compare [FLAG...]" >&2
  exit 2
fi
script=$1
shift

# Processes end by themselves if one is lost, so SLURM gives them the time to say so.
status=0
srun --kill-on-bad-exit=0 --wait=300 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
  "${PYTHON:-python}" -m "experiments.$script" --coordinator=auto "$@" || status=$?
again=$((status == 143))
# A process that is killed again and again, as for memory, must not be queued for ever.
if ((status == 137 || status == 75)); then
  again=$((${SLURM_RESTART_COUNT:-0} < 10))
  ((again)) || echo "error: a process was lost in each of 10 starts: see to it" >&2
fi
if ((again)); then
  scontrol requeue "$SLURM_JOB_ID" ||
    echo "error: SLURM does not queue this job again: submit the same command" >&2
fi
exit "$status"
