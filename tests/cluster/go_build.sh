#!/usr/bin/env bash
# Builds a program of the tests in Go: with the same versions (tests/go.work) and the same flags for all, so that what several are
# made of is compiled once. Most of it is generated code of Kubernetes, which takes a fifth less time to compile without debug
# information and inlining, and runs well enough. Most of the compiler's runs end before they need 2 GiB; a fifth of their time goes
# where they collect garbage before that.
exec env CGO_ENABLED=0 GOGC=off GOMEMLIMIT=2GiB "$(dirname "$0")/go.sh" build -trimpath -buildvcs=false \
  -gcflags=all=-dwarf=false -gcflags='k8s.io/...=-dwarf=false -l' "$@"
