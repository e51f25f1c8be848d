#!/usr/bin/env bash
# Build the container image of the platform: ptacl.tar.gz, with the pipeline inside.
#
#   rap/build_image.sh [ptacl.tar.gz]
#
# Where docker runs, docker builds it. Elsewhere buildah does, as root and without a registry of
# images: its base is a Debian that debootstrap lays out
# (apt-get install buildah skopeo debootstrap).
#
#   LOCK=FILE      versions to install (default: envs/requirements-cuda12.lock, which drivers of the
#                  platform's workers can run)
#   PIP_FOLDERS    folders of this machine that pip reads during the build, separated by spaces
#   BUILD_FOLDER   where buildah works (default: a temporary folder)
set -euo pipefail

archive=${1:-ptacl.tar.gz}
case $archive in /*) ;; *) archive=$PWD/$archive ;; esac
root=$(cd "$(dirname "$0")/.." && pwd)
lock=${LOCK:-envs/requirements-cuda12.lock}
readonly BASE=python:3.11-slim RELEASE=bookworm

with_docker() {
  docker build --platform linux/amd64 --file "$root/envs/Containerfile" --build-arg LOCK="$lock" --tag ptacl:latest "$root"
  docker save ptacl:latest | gzip -1 > "$archive"
}

# The Python of Debian's release is that of the base image.
make_base() {
  [ -d root/usr/bin ] || debootstrap --variant=minbase \
    --include=python3-pip,python-is-python3,ca-certificates "$RELEASE" root > debootstrap.log
  local container place
  container=$(buildah from scratch)
  place=$(buildah mount "$container")
  cp -a root/. "$place/"
  cp /etc/resolv.conf "$place/etc/"
  cp /etc/ssl/certs/ca-certificates.crt "$place/etc/ssl/certs/"
  buildah config --env PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin \
    --env PIP_BREAK_SYSTEM_PACKAGES=1 --cmd python3 "$container"
  buildah umount "$container" > /dev/null
  buildah commit --rm "$container" "localhost/$BASE" > /dev/null
}

with_buildah() {
  local folder mounts=()
  folder=${BUILD_FOLDER:-$(mktemp -d)}
  mkdir -p "$folder" && cd "$folder"
  make_base
  sed "s#^FROM $BASE#FROM localhost/$BASE#" "$root/envs/Containerfile" > Containerfile
  for path in ${PIP_FOLDERS:-}; do mounts+=(--volume "$path:$path:ro"); done
  buildah build --isolation chroot --network host --build-arg LOCK="$lock" "${mounts[@]}" \
    --ignorefile "$root/.dockerignore" --file Containerfile --tag ptacl "$root"
  rm -f ptacl.tar
  buildah push localhost/ptacl docker-archive:ptacl.tar:ptacl:latest
  gzip -1 < ptacl.tar > "$archive"
  rm ptacl.tar
}

if docker info > /dev/null 2>&1; then
  with_docker
elif command -v buildah > /dev/null; then
  with_buildah
else
  echo "build_image.sh: neither docker nor buildah can be used here" >&2
  exit 1
fi
ls -lh "$archive"
