#!/usr/bin/env bash
# Start a job of the platform from your computer. It needs `dx`, and a project that you selected.
#
#   rap/submit.sh image ptacl.tar.gz                upload the image, once
#   rap/submit.sh preflight [options] my.yaml...    check a machine, the mount and 20 participants
#   rap/submit.sh prepare [options] my.yaml...      prepare the recordings, on a machine without GPU
#   rap/submit.sh train [options] my.yaml...        everything else, on a machine with a GPU
#
#   --run NAME            name of the run (default: run1), which other jobs continue
#   --new                 begin this run; needed for its first job
#   --machine TYPE        machine type (default: mem2_ssd1_v2_x16 to prepare, else one L4)
#   --priority P          low, normal (both can be interrupted and restarted) or high (default: normal)
#   --cost-limit GBP      the job ends at this cost (default: 20 to prepare, 100 to train)
#   --driver VERSION      driver of the GPU (default: R535)
#   --dry-run             print the command, and upload and start nothing
#
# my.yaml and further files are stacked on workflow/config/paper.yaml and workflow/config/ukb.yaml.
set -euo pipefail

readonly ROOT_FOLDER=/ptacl IMAGES=/ptacl/images
HERE=$(cd "$(dirname "$0")" && pwd)
readonly HERE

run=run1 new=() machine='' priority=normal limit='' driver=R535 dry=false configs=()

die() {
  echo "submit.sh: $1" >&2
  exit 2
}

usage() {
  sed -n '2,/^set -euo/p' "$0" | sed -e '$d' -e 's/^# \{0,1\}//'
  exit "$1"
}

parse() {
  while [ $# -gt 0 ]; do
    case $1 in
      --run) run=$2 && shift 2 ;;
      --new) new=(--new) && shift ;;
      --machine) machine=$2 && shift 2 ;;
      --priority) priority=$2 && shift 2 ;;
      --cost-limit) limit=$2 && shift 2 ;;
      --driver) driver=$2 && shift 2 ;;
      --dry-run) dry=true && shift ;;
      -*) die "unknown option $1; rap/submit.sh --help lists them" ;;
      *) configs+=("$1") && shift ;;
    esac
  done
  [ ${#configs[@]} -gt 0 ] || die "name your configuration, such as my.yaml"
  local path known=' paper.yaml ukb.yaml '
  for path in "${configs[@]}"; do
    [ -f "$path" ] || die "there is no file $path"
    [[ $known != *" $(basename "$path") "* ]] || die "give $path another name: it is taken"
    known="$known$(basename "$path") "
  done
}

project() {
  dx whoami > /dev/null || die "not logged in: dx login"
  local found
  found=$(dx env --bash | sed -n "s/^export DX_PROJECT_CONTEXT_ID='\{0,1\}\([^']*\)'\{0,1\}$/\1/p")
  [ -n "$found" ] || die "no project is selected: dx select"
  echo "$found"
}

upload() {
  dx upload "$1" --path "$2" --parents --wait --brief --no-progress
}

newest_image() {
  dx find data --class file --state closed --path "$1:$IMAGES" --norecurse --name '*.tar.gz' --json |
    python3 -c 'import json, sys
found = [one["describe"] for one in json.load(sys.stdin)]
print(max(found, key=lambda one: one["modified"])["id"] if found else "")'
}

submit() {
  local kind=$1 where image files=() arguments=() inputs=() names=() path policy extra
  where=$(project)
  image=$(newest_image "$where")
  [ -n "$image" ] || die "the project has no image: rap/build_image.sh, then rap/submit.sh image"
  case $kind in
    preflight) arguments=(--preflight) ;;
    prepare) arguments=(--target data) ;;
  esac
  if [ "$kind" = prepare ]; then
    machine=${machine:-mem2_ssd1_v2_x16} limit=${limit:-20}
  else
    machine=${machine:-mem2_ssd2_gpu1_v2_x16} limit=${limit:-100}
  fi
  [[ $machine != *gpu* ]] || arguments+=(--gpu)
  files=("$HERE/job.sh" "$HERE/sync.py" "$HERE/lock.py" "$HERE/outputs.py" "$HERE/remote.py" "$HERE/stop.py" "${configs[@]}")
  for path in "${configs[@]}"; do names+=("$(basename "$path")"); done
  # A machine that is taken away is replaced; a run that fails is not repeated.
  policy='"restartOn": {"SpotInstanceInterruption": 9, "UnresponsiveWorker": 3, "JMInternalError": 2}'
  extra="{\"executionPolicy\": {$policy}}"
  if [[ $machine == *gpu* ]]; then
    extra="{\"executionPolicy\": {$policy}, \"systemRequirements\": {\"*\": {\"instanceType\": \"$machine\", \"nvidiaDriver\": \"$driver\"}}}"
  fi
  local command
  command=$(printf '%q ' bash job.sh --run "$where:$ROOT_FOLDER/$run/state" --image "$image" \
    ${new[@]+"${new[@]}"} ${arguments[@]+"${arguments[@]}"} paper.yaml ukb.yaml "${names[@]}")
  for path in "${files[@]}"; do
    if $dry; then
      inputs+=("-iin=$path")
    else
      inputs+=("-iin=$(upload "$path" "$where:$ROOT_FOLDER/$run/submitted/$(basename "$path")")")
    fi
  done
  local call=(dx run swiss-army-knife "${inputs[@]}" "-icmd=$command" --instance-type "$machine"
    --priority "$priority" --cost-limit "$limit" --destination "$where:$ROOT_FOLDER/$run/submitted"
    --name "ptacl $kind $run" --extra-args "$extra" --yes --brief)
  if $dry; then
    printf '%q ' "${call[@]}" && echo
  else
    "${call[@]}"
  fi
}

[ $# -gt 0 ] || usage 2
action=$1 && shift
case $action in
  image)
    [ $# = 1 ] && [ -f "$1" ] || die "name the image, such as ptacl.tar.gz"
    where=$(project)
    upload "$1" "$where:$IMAGES/$(basename "$1")"
    ;;
  preflight | prepare | train)
    parse "$@"
    submit "$action"
    ;;
  -h | --help) usage 0 ;;
  *) die "unknown action $action; rap/submit.sh --help lists them" ;;
esac
