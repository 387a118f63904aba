// Command cluster starts a real one-node Kubernetes for end-to-end tests, and removes it again without a trace.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const usage = `usage: PROGRAM COMMAND [--name NAME] [--state DIR] [OPTIONS] [ARGUMENTS]

  up [--images A.tar,B.tar] [--control-plane-only] [--timeout 2m] [--owner PID]
                      start a cluster and print the path of its kubeconfig; it ends with the process PID, if one is given
  down                end the cluster and remove everything it made
  status              show what runs and how much memory it uses
  load IMAGE.tar...   import OCI or docker archives into the node
  exec -- COMMAND...  run a command in the cluster's network with KUBECONFIG set
  kubeconfig          print the path of the kubeconfig

  stop COMPONENT      kill a component and keep it down
  freeze COMPONENT    let a component stand still, connections open
  start COMPONENT     undo either and wait until it is ready
  compact             let etcd forget all versions of objects but the last

  etcd, kube-apiserver, kube-controller-manager, kubectl [ARGS]...
                      run the component itself; with a node also kube-scheduler, kubelet, kube-proxy, containerd, coredns
`

func main() {
	if program := programs[filepath.Base(os.Args[0])]; program != nil {
		program()
		return
	}
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if program := programs[os.Args[1]]; program != nil {
		os.Args = os.Args[1:]
		program()
		return
	}
	exit(run(os.Args[1], os.Args[2:]))
}

func run(command string, args []string) (err error) {
	c := &cluster{}
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage) }
	flags.StringVar(&c.Name, "name", "e2e", "")
	flags.StringVar(&c.State, "state", "", "")
	images, owner := "", 0
	switch command {
	case "up":
		flags.StringVar(&images, "images", "", "")
		only := node == nil || filepath.Base(os.Args[0]) == "control-plane"
		flags.BoolVar(&c.ControlPlaneOnly, "control-plane-only", only, "")
		flags.DurationVar(&c.Timeout, "timeout", 2*time.Minute, "")
		flags.IntVar(&owner, "owner", 0, "")
	case "start", "stop", "freeze":
		flags.DurationVar(&c.Timeout, "timeout", 2*time.Minute, "")
	}
	flags.Parse(args)
	args = flags.Args()
	if wanted, found := arguments[command]; !found {
		return fmt.Errorf("there is no command %q\n\n%s", command, usage)
	} else if wanted >= 0 && len(args) != wanted {
		return fmt.Errorf("%s takes %d arguments, not %q; options come before them", command, wanted, args)
	}
	if c.Name == "" || c.Name != filepath.Base(c.Name) {
		return fmt.Errorf("%q is no name for a cluster", c.Name)
	}
	if c.State == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return fmt.Errorf("%w: give a directory with --state", err)
		}
		c.State = filepath.Join(cache, "backfill-cluster-"+c.Name)
	}
	if c.State, err = filepath.Abs(c.State); err != nil {
		return err
	}

	switch command {
	case "up":
		if owner != 0 {
			if c.Owner, _, err = inspect(owner); err != nil {
				return fmt.Errorf("the owner, process %d: %w", owner, err)
			}
		}
		return up(c, strings.FieldsFunc(images, func(r rune) bool { return r == ',' }))
	case "down":
		return down(c.State)
	case "supervise": // used by `up`
		return supervise(c.State)
	}
	timeout := c.Timeout
	if c, err = open(c.State); err != nil {
		return err
	}
	if !c.Supervisor.alive() {
		return fmt.Errorf("cluster %s is not running", c.Name)
	}
	switch command {
	case "status":
		return c.printStatus()
	case "load":
		if c.ControlPlaneOnly {
			return errors.New("a control plane alone runs no images")
		}
		return node.load(c, context.Background(), args)
	case "exec":
		return c.exec(args)
	case "stop":
		return c.stopComponent(args[0])
	case "freeze":
		return c.freezeComponent(args[0])
	case "start":
		return c.startComponent(args[0], timeout)
	case "compact":
		return c.compact()
	}
	fmt.Println(c.path("kubeconfig"))
	return nil
}

// arguments is how many each command takes; -1 means any number.
var arguments = map[string]int{"up": 0, "down": 0, "supervise": 0, "status": 0, "kubeconfig": 0, "compact": 0,
	"stop": 1, "freeze": 1, "start": 1, "load": -1, "exec": -1}

func exit(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
	os.Exit(0)
}
