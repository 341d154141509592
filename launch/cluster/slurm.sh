#!/bin/bash
# Trains on several nodes of a SLURM cluster, from the folder of the checkout:
#
#   sbatch launch/cluster/slurm.sh --config=configs/r101.py --workdir=runs/r101
#
# Checkout, data and workdir must lie on a disk that all nodes share.
#SBATCH --job-name=deeplax
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1     # one process a node, with all of its GPUs
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --time=24:00:00
#SBATCH --signal=TERM@120       # before the time is up: time to save
#SBATCH --requeue               # after the loss of a node
#SBATCH --open-mode=append
#SBATCH --output=deeplax-%j.log

# Processes that end take no others along: each says why it ends.
srun --kill-on-bad-exit=0 --label \
  .venv/bin/python launch/train.py "$@"
code=$?

# 75: stopped and saved; 76: a process or a host was lost. Both go on from the
# newest checkpoint. The count ends what would fail for ever.
if [[ $code == 75 || $code == 76 ]] && ((${SLURM_RESTART_COUNT:-0} < 20)); then
  scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
