package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// process names a process so that it cannot be mistaken for a later one with the same number.
type process struct {
	PID     int
	Started uint64 // clock ticks after boot
}

// inspect finds a process that runs, and its parent. A zombie no longer runs.
func inspect(pid int) (p process, parent int, err error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return p, 0, err
	}
	// The fields after the program's name, which is in parentheses and may hold any character: state, parent, ...
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 || strings.Contains("ZX", fields[0]) {
		return p, 0, os.ErrProcessDone
	}
	parent, _ = strconv.Atoi(fields[1])
	started, err := strconv.ParseUint(fields[19], 10, 64)
	return process{pid, started}, parent, err
}

func (p process) alive() bool {
	current, _, err := inspect(p.PID)
	return err == nil && current == p
}

func (p process) signal(signal os.Signal) error {
	handle, err := os.FindProcess(p.PID) // from here on it is this very process, whatever becomes of its number
	if err != nil || !p.alive() {
		return err
	}
	return handle.Signal(signal)
}

func (p process) kill() error {
	return p.signal(os.Kill)
}

// watch opens a handle of the process that becomes readable when it ends, also in other PID namespaces.
func (p process) watch() (*os.File, error) {
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err == nil && !p.alive() { // from here on it is this very process, whatever becomes of its number
		err = os.ErrProcessDone
	}
	if err != nil {
		return nil, fmt.Errorf("watching process %d: %w", p.PID, err)
	}
	return os.NewFile(uintptr(fd), "owner"), nil
}

// awaitEnd returns when the process of such a handle has ended.
func awaitEnd(fd int) {
	for {
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if ready > 0 || (err != nil && err != unix.EINTR) {
			return
		}
	}
}

// tree returns the process and all its descendants.
func (p process) tree() []process {
	children := map[int][]process{}
	entries, _ := os.ReadDir("/proc")
	for _, entry := range entries {
		if pid, err := strconv.Atoi(entry.Name()); err == nil {
			if child, parent, err := inspect(pid); err == nil {
				children[parent] = append(children[parent], child)
			}
		}
	}
	tree := []process{p}
	for i := 0; i < len(tree); i++ {
		tree = append(tree, children[tree[i].PID]...)
	}
	return tree
}

// program returns the name that the process was called by.
func (p process) program() string {
	command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
	name, _, _ := strings.Cut(string(command), "\x00")
	return filepath.Base(name)
}

// memory returns the process's share of the memory in use, in KiB: pages used by several are divided among them.
func (p process) memory() (kib int) {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.PID))
	if _, rest, found := strings.Cut(string(data), "\nPss:"); found {
		fmt.Sscan(rest, &kib)
	}
	return kib
}
