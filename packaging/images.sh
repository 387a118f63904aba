#!/usr/bin/env bash
# Builds images into build/images/NAME.tar: `packaging/images.sh operator worker`, also test-sink, orders, prometheus. Needs no network.
#   IMAGE_BUILDER     buildah, podman or docker: the first that works
#   IMAGE_REPOSITORY  localhost/backfill
#   IMAGE_TAG         dev
set -euo pipefail
cd "$(dirname "$0")/.."
bin=build/release/bin
out=build/images
repository=${IMAGE_REPOSITORY:-localhost/backfill}
tag=${IMAGE_TAG:-dev}
limit=$((60 * 1000 * 1000))  # bytes an image

builder=${IMAGE_BUILDER:-}
if [ -z "$builder" ]; then
  for known in "buildah version" "podman version" "docker version"; do  # docker's fails where no daemon answers
    if $known >/dev/null 2>&1; then builder=${known% *}; break; fi
  done
fi
[ -n "$builder" ] || { echo "there is no buildah, podman or docker on this machine: 'make images' installs buildah" >&2; exit 1; }

# A store of its own, without an overlay file system: it works in a container, and on a file system that is one already. Nothing
# runs while an image is built, so there is nothing to isolate.
store=$PWD/$out/store
buildah() { command buildah --root "$store/root" --runroot "$store/run" --storage-driver vfs "$@"; }

stage() {
  local root=$out/root/$1
  case $1 in
    operator) packaging/stage.py --root "$root" --tree /usr/share/zoneinfo $bin/backfill-operator $bin/backfill;;
    worker) packaging/stage.py --root "$root" $bin/backfill-worker;;
    test-sink) packaging/stage.py --root "$root" $bin/backfill-test-sink;;
    orders)
      local python; python=$(/usr/bin/python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')
      packaging/stage.py --root "$root" --tree "$python" --file examples/orders/orders.py=/usr/share/orders/orders.py /usr/bin/python3
      ;;
    prometheus) packaging/stage.py --root "$root" build/tools/prometheus;;
    *) echo "there is no image $1" >&2; return 1;;
  esac
}

build() {
  local name=$1 image=$repository/$1:$tag archive=$out/$1.tar
  rm -f "$archive"
  case $builder in
    buildah)
      buildah build --quiet --isolation chroot --timestamp 0 --target "$name" -f Containerfile -t "$image" $out/root >/dev/null
      buildah push --quiet "$image" "oci-archive:$archive:$image"
      ;;
    podman)
      podman build --quiet --timestamp 0 --target "$name" -f Containerfile -t "$image" $out/root >/dev/null
      podman save --quiet --format oci-archive -o "$archive" "$image"
      ;;
    docker)
      docker build --quiet --target "$name" -f Containerfile -t "$image" $out/root >/dev/null
      docker save -o "$archive" "$image"
      ;;
    *) echo "IMAGE_BUILDER is buildah, podman or docker, not $builder" >&2; return 1;;
  esac
  local size; size=$(du -sb "$out/root/$name" | cut -f1)
  printf '%s  %s  %d MB, archive %d MB\n' "$archive" "$image" $((size / 1000000)) $(($(stat -c %s "$archive") / 1000000))
  if [ "$size" -gt $limit ]; then echo "the image $name has $size bytes; at most $limit are agreed" >&2; return 1; fi
}

[ $# -gt 0 ] || { echo "which images? operator, worker, test-sink, orders, prometheus" >&2; exit 1; }
mkdir -p $out
trap 'rm -rf "$store"' EXIT  # the archives are what is wanted
for name in "$@"; do
  stage "$name"
  build "$name"
done
