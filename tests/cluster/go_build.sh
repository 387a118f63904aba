#!/usr/bin/env bash
# Builds a program of the tests in Go: with the same versions (tests/go.work) and the same flags for all, so that what several are
# made of is compiled once. Most of it is generated code of Kubernetes, which takes a fifth less time to compile without debug
# information and inlining, and runs well enough.
exec env CGO_ENABLED=0 "$(dirname "$0")/go.sh" build -trimpath -buildvcs=false \
  -gcflags=all=-dwarf=false -gcflags='k8s.io/...=-dwarf=false -l' "$@"
