#!/bin/bash
# Trains on all hosts of a Cloud TPU pod, where deeplax was installed with
# requirements-tpu.txt in the home of each:
#
#   TPU=my-pod ZONE=us-central2-b launch/cluster/tpu_pod.sh \
#     --config=configs/r101.py --workdir=/mnt/shared/r101
#
# Data and workdir must lie on a disk that all hosts share (Filestore, say).
# After exit codes 75 and 76 the same line goes on from the newest checkpoint.
set -euo pipefail
words=$(printf ' %q' "$@")
gcloud compute tpus tpu-vm ssh "$TPU" --zone="$ZONE" --worker=all \
  --command="cd deeplax && exec .venv/bin/python launch/train.py$words"
