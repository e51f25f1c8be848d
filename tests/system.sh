#!/bin/sh
# Programs that some tests drive: a browser, a one-machine Slurm, a writer of ECG formats, a clean Debian, a FUSE mount. Where they cannot be installed, those tests skip and say so.
command -v chromium >/dev/null && command -v slurmctld >/dev/null && command -v munged >/dev/null && command -v save2gdf >/dev/null && \
  command -v debootstrap >/dev/null && command -v fusermount3 >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium slurm-wlm munge biosig-tools debootstrap fuse3 >/dev/null && exit 0
fi
echo "no chromium, Slurm, biosig, debootstrap or fuse3 here, and no right to install them: their tests will skip" >&2
