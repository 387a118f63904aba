package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

// cluster is one instance. All its files are in the state directory, where cluster.json is this record.
type cluster struct {
	Name             string
	State            string
	ControlPlaneOnly bool
	Timeout          time.Duration
	Supervisor       process
	Owner            process // the cluster ends with it; no process if there is none
}

const record = "cluster.json"

func open(state string) (*cluster, error) {
	data, err := os.ReadFile(filepath.Join(state, record))
	if err != nil {
		return nil, fmt.Errorf("no cluster: %w", err)
	}
	c := &cluster{}
	if err := json.Unmarshal(data, c); err != nil {
		return nil, fmt.Errorf("%s in %s: %w", record, state, err)
	}
	return c, nil
}

func (c *cluster) save() error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	// By a rename, since a killed command must not leave half a record: it could no longer be told whose directory this is.
	if err := os.WriteFile(c.path(record+".new"), data, 0o600); err != nil {
		return err
	}
	return os.Rename(c.path(record+".new"), c.path(record))
}

// path returns the path of a file in the state directory.
func (c *cluster) path(name string) string {
	return filepath.Join(c.State, name)
}

// lock keeps two commands from changing one cluster at the same time. It ends with the process.
func (c *cluster) lock() error {
	fd, err := unix.Open(c.State, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
		return fmt.Errorf("another command is changing the cluster in %s", c.State)
	}
	return nil
}

// entered is set in the environment of a process that runs in the cluster's network.
const entered = "CLUSTER_NETWORK"

// enter brings this command into the cluster's network with all its threads: it executes itself there.
func (c *cluster) enter() error {
	if c.ControlPlaneOnly || os.Getenv(entered) == c.State {
		return nil
	}
	os.Setenv(entered, c.State)
	return c.exec(append([]string{self()}, os.Args[1:]...))
}

// exec replaces this process by a command in the cluster's network namespace.
func (c *cluster) exec(args []string) error {
	if len(args) == 0 {
		return errors.New("exec needs a command")
	}
	if !c.ControlPlaneOnly {
		runtime.LockOSThread()
		namespace, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", c.Supervisor.PID))
		if err != nil {
			return err
		}
		if err := unix.Setns(int(namespace.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering the cluster's network: %w", err)
		}
		os.Setenv("NO_PROXY", "*") // none can be reached from there
		os.Setenv("no_proxy", "*")
	}
	os.Setenv("KUBECONFIG", c.path("kubeconfig"))
	os.Setenv("PATH", searchPath())
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, args, os.Environ()))
}

func (c *cluster) printStatus() error {
	fmt.Printf("cluster %s is running\nkubeconfig  %s\nlogs        %s\n\n", c.Name, c.path("kubeconfig"), c.path("log"))
	out := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "PID\tMEMORY\tPROGRAM")
	total := 0
	for _, p := range c.Supervisor.tree() {
		if kib := p.memory(); kib > 0 {
			total += kib
			fmt.Fprintf(out, "%d\t%d MiB\t%s\n", p.PID, kib/1024, p.program())
		}
	}
	fmt.Fprintf(out, "\t%d MiB\ttotal\n", total/1024)
	return out.Flush()
}

// self returns the path of this program. kubectl, the containerd shim and the Pods' first process lie beside it.
func self() string {
	path, err := os.Executable()
	if err != nil {
		panic(err)
	}
	return path
}

func searchPath() string {
	return filepath.Dir(self()) + ":" + os.Getenv("PATH") + ":/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
}
