#!/bin/sh
# Programs that some tests drive: a browser and a one-machine Slurm. Where they cannot be installed, those tests skip and say so.
command -v chromium >/dev/null && command -v slurmctld >/dev/null && command -v munged >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium slurm-wlm munge >/dev/null && exit 0
fi
echo "no chromium or Slurm here, and no right to install them: their tests will skip" >&2
