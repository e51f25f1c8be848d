#!/usr/bin/env bash
# Run the pipeline on a worker of the platform, and save its results in the project.
#
#   bash job.sh --run PROJECT:/FOLDER --image FILE [options] CONFIG.yaml...
#
#   --run PROJECT:/FOLDER  folder that holds the state of the run; next to it, the report and the
#                          models are written to folders of their own when everything is finished
#   --image FILE           identifier of the image (file-xxxx)
#   --target NAME          target of Snakemake (default: everything)
#   --gpu                  stop if the machine has no GPU that PyTorch can use
#   --new                  begin a run if the folder holds none
#   --preflight            check the disk, image, GPU, mount and 20 participants, and do nothing else
#
# Names of CONFIG.yaml are those of files next to this script, or of files in workflow/config.
#
# Exit status: that of Snakemake; 1 if a check fails; 3, 4 or 5 from sync.py (see there).
set -euo pipefail

readonly WORK=${PTACL_WORK:-/home/dnanexus/work}
readonly MOUNT=${PTACL_MOUNT:-/mnt/project}
readonly DISK_GB=${PTACL_DISK_GB:-100}
readonly SAVE_SECONDS=${PTACL_SAVE_SECONDS:-600}
readonly REMOUNT=${PTACL_REMOUNT:-"umount /mnt; /home/dnanexus/dxfuse -readOnly /mnt /home/dnanexus/.dxfuse_manifest.json"}
readonly ATTEMPTS=3
readonly TAG=ptacl:latest CONTAINER=ptacl-run
HERE=$(cd "$(dirname "$0")" && pwd)
readonly HERE

run='' image='' target=() gpu=() new=() preflight=false configs=()
watcher='' stopping=false

say() { echo "$(date -u +%H:%M:%S) $*"; }

die() {
  say "$1" >&2
  exit "${2:-1}"
}

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --run) run=$2 && shift 2 ;;
      --image) image=$2 && shift 2 ;;
      --target) target=("$2") && shift 2 ;;
      --gpu) gpu=(--gpus all) && shift ;;
      --new) new=(--new) && shift ;;
      --preflight) preflight=true && shift ;;
      -*) die "unknown option $1" 2 ;;
      *) configs+=("$(config_path "$1")") && shift ;;
    esac
  done
  [ -n "$run" ] && [ -n "$image" ] && [ ${#configs[@]} -gt 0 ] ||
    die "usage: job.sh --run PROJECT:/FOLDER --image FILE [options] CONFIG.yaml..." 2
}

# The container sees this folder as /job.
config_path() {
  if [ -f "$HERE/$1" ]; then echo "/job/$1"; else echo "/opt/ptacl/workflow/config/$1"; fi
}

# A command in the image, in the folder of the run, in a process group of its own: only `stop`
# decides how it is asked to end.
in_image() {
  setsid docker run --rm --init --name "$CONTAINER" "${gpu[@]}" \
    --volume "$HERE:/job:ro" --volume "$WORK:/work" --volume "$MOUNT:$MOUNT:ro" --workdir /work \
    "$TAG" "$@"
}

check_disk() {
  mkdir -p "$WORK"
  local free
  free=$(df --output=avail -B 1000000000 "$WORK" | tail -1)
  [ "$free" -ge "$DISK_GB" ] ||
    die "$WORK has $free GB free, and the run needs $DISK_GB GB: choose a machine with more disk"
}

load_image() {
  dx download "${run%%:*}:$image" -o "$WORK/image.tar.gz" -f --no-progress
  # dx skips a file that is not closed yet, with status 0
  [ -s "$WORK/image.tar.gz" ] || die "the image $image cannot be downloaded: is its upload complete?"
  docker load --quiet --input "$WORK/image.tar.gz"
  rm "$WORK/image.tar.gz"
}

check_gpu() {
  [ ${#gpu[@]} -gt 0 ] || return 0
  in_image python -c 'from ptacl.learning import devices; devices.require_gpu()' ||
    die "this machine has no GPU that PyTorch can use: choose a machine with a GPU, or build the image with other versions (LOCK=... rap/build_image.sh)"
}

# A file is read from the mount. The mount can fail at any time and is then remounted.
mount_answers() {
  local path
  while IFS= read -r path; do
    if timeout 120 head -c 1024 "$path" > /dev/null 2>&1; then return 0; fi
  done < <(timeout 300 find "$MOUNT" -type f -size +0 2> /dev/null | head -20)
  return 1
}

repair_mount() {
  for _ in 1 2 3; do
    if mount_answers; then return 0; fi
    say "no file can be read below $MOUNT: mounting it again"
    bash -c "$REMOUNT" || true
    sleep 5
  done
  mount_answers
}

# A process group of its own, to stop it together with its `dx`.
start_watcher() {
  setsid python3 "$HERE/sync.py" watch "$run" --every "$SAVE_SECONDS" &
  watcher=$!
}

stop_watcher() {
  kill -- "-$watcher" 2> /dev/null || true
  wait "$watcher" 2> /dev/null || true
}

save_last() {
  local status wait
  for wait in 0 60 300; do
    sleep "$wait"
    status=0
    python3 "$HERE/sync.py" save "$run" || status=$?
    if [ "$status" = 0 ] || [ "$status" = 5 ]; then break; fi
  done
  return "$status"
}

# The platform asks a job to end with SIGTERM, if it asks at all.
stop() {
  stopping=true
  say "asked to stop"
}

run_snakemake() {
  local status=1 attempt
  for attempt in $(seq "$ATTEMPTS"); do
    if $stopping; then break; fi
    status=0
    in_image snakemake --snakefile /opt/ptacl/Snakefile --cores all --resources gpu=1 \
      --rerun-incomplete --nolock --configfile "${configs[@]}" -- "${target[@]}" &
    wait_for $! || status=$?
    if [ "$status" = 0 ] || $stopping; then break; fi
    say "attempt $attempt of $ATTEMPTS ended with status $status"
    # Only a mount that failed is a reason to try again on this machine.
    if mount_answers || ! repair_mount; then break; fi
  done
  return "$status"
}

# A worker that was replaced by a later one, or that cannot save, must stop.
wait_for() {
  local seconds=0
  while kill -0 "$1" 2> /dev/null; do
    if ! kill -0 "$watcher" 2> /dev/null && ! $stopping; then
      say "saving has ended, so the run is stopped"
      stopping=true
    fi
    if $stopping; then
      # again and again, as the container or a training may only be starting
      docker exec "$CONTAINER" python /job/stop.py /work > /dev/null 2>&1 || true
      seconds=$((seconds + 2))
      [ "$seconds" -lt 120 ] || docker kill "$CONTAINER" > /dev/null 2>&1 || true
    fi
    sleep 2 &
    wait $! || true # a signal ends this wait at once
  done
  wait "$1"
}

# Aggregates go to a folder of their own, and weights, which need permission to leave, to another.
export_results() {
  [ -f results/report.html ] || return 0
  local folder=${run%/*} stamp
  stamp=$(date -u +%Y%m%dT%H%M%S)
  tar -czf report.tar.gz results/report.html results/tables results/figures \
    results/cohort/flow.json results/cohort/flow.svg
  tar -czf models.tar.gz results/models
  for name in report models; do
    dx upload "$name.tar.gz" --path "$folder/$name/$name-$stamp.tar.gz" --parents --wait --brief \
      --no-progress
  done
}

main() {
  parse "$@"
  check_disk
  load_image
  check_gpu
  repair_mount || die "no file can be read below $MOUNT"
  if $preflight; then
    python3 "$HERE/sync.py" check "$run"
    in_image ptacl check "${configs[@]}" --sample 20
    say "preflight: all checks passed"
    return
  fi
  cd "$WORK"
  python3 "$HERE/sync.py" restore "$run" "${new[@]}"
  trap stop TERM INT
  start_watcher
  local status=0 saved=0
  run_snakemake || status=$?
  stop_watcher
  save_last || saved=$?
  # The lock stays if the results are not saved: only a restart of this job may go on.
  [ "$saved" = 0 ] || die "the results of this worker are not saved" "$saved"
  if [ "$status" = 0 ] && [ ${#target[@]} = 0 ]; then export_results; fi
  python3 "$HERE/sync.py" release "$run"
  return "$status"
}

main "$@"
