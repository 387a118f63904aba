#!/usr/bin/env bash
# Runs Go with the given arguments: the machine's, or, where that is older than go.mod asks for (Debian 12 has 1.19), the
# toolchain which the Go project publishes as a module. Any Go can fetch that; it is checked against the checksum database and
# kept in the module cache. Ends with 77 where there is no Go at all.
set -euo pipefail
fetched=1.26.8
wanted=$(awk '$1 == "go" { print $2 }' "$(dirname "$0")/go.mod")

if ! command -v go >/dev/null; then
  echo "there is no Go on this machine: 'make deps' installs Debian's, which fetches a newer one" >&2
  exit 77
fi
export GOTOOLCHAIN=local
found=$(cd / && go env GOVERSION)
if [ "$(printf '%s\n' "${found#go}" "$wanted" | sort -V | head -1)" = "$wanted" ]; then
  exec go "$@"
fi

module=golang.org/toolchain@v0.0.1-go$fetched.$(go env GOOS)-$(go env GOARCH)
root=$(go env GOMODCACHE)/$module
if [ ! -x "$root/bin/go" ]; then
  echo "Go $wanted is needed and ${found#go} is here: fetching $fetched" >&2
  (cd / && GOFLAGS=-mod=mod go mod download "$module")
  # A module holds no executable files and only one go.mod; the go command undoes this in the same way.
  chmod -R u+w "$root"
  chmod u+x "$root"/pkg/tool/*/*
  for renamed in "$root"/src/_go.mod "$root"/src/cmd/_go.mod; do cp "$renamed" "${renamed/_go.mod/go.mod}"; done
  chmod u+x "$root"/bin/*  # last: it says that all is done
fi
unset GOROOT
exec "$root/bin/go" "$@"
