package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// supervisor is the parent of all components, and in a node the first process of the PID namespace. `up` starts it and
// reads its reports from its standard output. Its steps do nothing once one has failed: the first error stays.
type supervisor struct {
	*cluster
	began      time.Time
	components map[int][]string // the command line of each that runs, by process ID
	waiting    []waiting        // those that have ended
	err        error
}

type waiting struct {
	args  []string
	until time.Time
}

const ownerFD = 3 // what `up` hands on of the process with which the cluster ends

const ready = "ready"

func supervise(state string) error {
	c, err := open(state)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // components end with their parent, which for the kernel is the thread that started them
	// All tests wait for it, so it goes first: where the kernel shares the cores out by session, and this is root.
	os.WriteFile("/proc/self/autogroup", []byte("-10"), 0)
	var up atomic.Bool
	go func() {
		io.Copy(io.Discard, os.Stdin)
		if !up.Load() { // the command that wanted the cluster is gone
			os.Exit(1)
		}
	}()
	if c.Owner.PID != 0 {
		syscall.CloseOnExec(ownerFD)
		go func() {
			awaitEnd(ownerFD)
			os.Exit(1) // the components end with this process
		}()
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGCHLD)

	s := &supervisor{cluster: c, began: time.Now(), components: map[int][]string{}}
	s.startComponents()
	if s.err != nil {
		fmt.Println(s.err)
		os.Exit(1)
	}
	up.Store(true)
	fmt.Println(ready)
	os.Stdout.Close()
	for s.err == nil {
		var tick <-chan time.Time
		if len(s.waiting) > 0 {
			tick = time.After(50 * time.Millisecond)
		}
		select {
		case <-ended:
		case <-tick:
		}
		s.restart()
	}
	return s.err
}

// restart starts the components again that have ended, after a second, and not while a command keeps them down.
func (s *supervisor) restart() {
	for _, args := range s.reap() {
		log.Printf("%s ended", args[0])
		s.waiting = append(s.waiting, waiting{args, time.Now().Add(time.Second)})
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(w waiting) bool {
		if time.Now().Before(w.until) || s.keptDown(w.args[0]) {
			return false
		}
		log.Printf("%s is started again", w.args[0])
		s.start(w.args[0], w.args[1:]...)
		return true
	})
}

// do is a step.
func (s *supervisor) do(action func() error) {
	if s.err == nil {
		s.err = action()
	}
}

// write is the step that writes a file into the state directory.
func (s *supervisor) write(name, text string) {
	s.do(func() error {
		if err := os.MkdirAll(filepath.Dir(s.path(name)), 0o700); err != nil {
			return err
		}
		return os.WriteFile(s.path(name), []byte(text), 0o600)
	})
}

// start is the step that runs a component of this binary.
func (s *supervisor) start(name string, args ...string) {
	s.do(func() error {
		output, err := os.OpenFile(s.path("log/"+name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return err
		}
		defer output.Close()
		cmd := exec.Cmd{
			Path:        self(),
			Args:        append([]string{name}, args...),
			Env:         []string{"PATH=" + searchPath(), "HOME=" + s.State},
			Stdout:      output,
			Stderr:      output,
			SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		s.components[cmd.Process.Pid] = cmd.Args
		return nil
	})
}

// await is the step that waits until a component passes a check. It fails when any component ends.
func (s *supervisor) await(name string, check func(context.Context) error) {
	s.do(func() error {
		for ; ; time.Sleep(50 * time.Millisecond) {
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			err := check(ctx)
			cancel()
			took := time.Since(s.began)
			if err == nil {
				fmt.Printf("%6.1fs  %s\n", took.Seconds(), name)
				return nil
			}
			for _, args := range s.reap() {
				return fmt.Errorf("%s ended%s", args[0], s.tail(args[0]))
			}
			if took > s.Timeout {
				return fmt.Errorf("%s is not ready after %v: %w%s", name, s.Timeout, err, s.tail(name))
			}
		}
	})
}

// reap collects the processes that have ended, orphans too, and returns the command lines of the components among them.
func (s *supervisor) reap() (ended [][]string) {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if pid <= 0 {
			return ended
		}
		if args, found := s.components[pid]; found {
			delete(s.components, pid)
			ended = append(ended, args)
		}
	}
}

// tail returns the last lines of a component's log, if it has any, to be put after a message.
func (c *cluster) tail(name string) string {
	data, _ := os.ReadFile(c.path("log/" + name + ".log"))
	if len(data) == 0 {
		return ""
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	return "; the end of its log:\n" + strings.Join(lines[max(0, len(lines)-15):], "\n")
}
