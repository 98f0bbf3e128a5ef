#!/bin/bash
# A sweep as a job array of SLURM: task i of n runs the i-th of n shares of its runs.
#
#   sbatch --array=1-8 experiments/launch/slurm_array.sh --flagfile=my.flags --workdir=runs/my_sweep
#
# Submit it from the checkout, with the Python environment active (or PYTHON=.../bin/python). The
# workdir lies on a file system that all nodes share. Two minutes before the time is up, the step
# gets SIGTERM, leaves a checkpoint and exits with 143; the task is then queued again, and the same
# command goes on. Another array, of other length too, takes up whatever is not done.
#SBATCH --job-name=hasa_sweep
#SBATCH --array=1-8
#SBATCH --ntasks=1
#SBATCH --cpus-per-task=4
#SBATCH --time=04:00:00
#SBATCH --signal=TERM@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%A_%a.log
set -euo pipefail

shards=$((SLURM_ARRAY_TASK_MAX - SLURM_ARRAY_TASK_MIN + 1))
if ((shards != SLURM_ARRAY_TASK_COUNT)); then
  echo "error: tasks are missing in the array: give a range without gaps, such as --array=1-8" >&2
  exit 2
fi
shard="$((SLURM_ARRAY_TASK_ID - SLURM_ARRAY_TASK_MIN + 1))/$shards"

# Without srun, the signal would not reach Python. Since SLURM 22.05, a step does not inherit the
# cores of its job.
status=0
srun --ntasks=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
  "${PYTHON:-python}" -m experiments.sweep "$@" --shard="$shard" || status=$?
if ((status == 143)); then
  scontrol requeue "${SLURM_ARRAY_JOB_ID}_${SLURM_ARRAY_TASK_ID}" ||
    echo "error: SLURM does not queue this task again: submit the same command" >&2
fi
exit "$status"
