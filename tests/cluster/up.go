package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

// up starts a cluster and prints the path of its kubeconfig. When that fails or is interrupted, nothing is left behind.
func up(c *cluster, images []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := c.check(images); err != nil {
		return err
	}
	if err := os.MkdirAll(c.State, 0o700); err != nil {
		return err
	}
	if err := c.lock(); err != nil {
		return err
	}
	if old, err := open(c.State); err == nil {
		if old.Supervisor.alive() && c.Owner.PID != 0 && c.Owner == old.Owner {
			fmt.Println(old.path("kubeconfig")) // ctest asks again when it repeats tests
			return nil
		}
		if old.Supervisor.alive() {
			return fmt.Errorf("cluster %s is already running", old.Name)
		}
		if err := old.clear(); err != nil {
			return fmt.Errorf("removing what a killed run left behind: %w", err)
		}
	} else if entries, _ := os.ReadDir(c.State); len(entries) > 0 {
		return fmt.Errorf("%s is not empty and not a cluster's", c.State)
	}
	err := c.launch(ctx)
	if err == nil && len(images) > 0 {
		err = node.load(c, ctx, images)
	}
	if err != nil {
		return errors.Join(err, c.remove())
	}
	fmt.Println(c.path("kubeconfig"))
	return nil
}

// check tells what is missing before anything is started.
func (c *cluster) check(images []string) error {
	for _, image := range images {
		if _, err := os.Stat(image); err != nil {
			return err
		}
	}
	if c.ControlPlaneOnly {
		if len(images) > 0 {
			return errors.New("a control plane alone runs no images")
		}
		return nil
	}
	if node == nil {
		return errors.New("this program was built for a control plane alone: --control-plane-only")
	}
	if len(c.State) > 70 {
		return fmt.Errorf("the path %s is too long for the sockets below it", c.State)
	}
	os.Setenv("PATH", searchPath())
	return node.check()
}

// launch starts the supervisor and follows its reports until the cluster is ready.
func (c *cluster) launch(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout+5*time.Second) // the supervisor minds the timeout itself
	defer cancel()
	if err := errors.Join(c.save(), os.Mkdir(c.path("log"), 0o700)); err != nil {
		return err
	}
	log, err := os.Create(c.path("log/supervisor.log"))
	if err != nil {
		return err
	}
	defer log.Close()

	cmd := exec.Command(self(), "supervise", "--state", c.State)
	cmd.Dir = c.State
	cmd.Stderr = log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if !c.ControlPlaneOnly {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET
	}
	if c.Owner.PID != 0 {
		owner, err := c.Owner.watch()
		if err != nil {
			return err
		}
		defer owner.Close()
		cmd.ExtraFiles = []*os.File{owner} // ownerFD
	}
	if _, err := cmd.StdinPipe(); err != nil { // its end tells the supervisor that `up` is gone
		return err
	}
	reports, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the supervisor: %w", err)
	}
	defer context.AfterFunc(ctx, func() { cmd.Process.Kill() })()
	if c.Supervisor, _, err = inspect(cmd.Process.Pid); err == nil {
		err = c.save()
	}
	if err != nil {
		return errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	for lines := bufio.NewScanner(reports); lines.Scan(); {
		if lines.Text() == ready {
			return nil
		}
		fmt.Fprintln(os.Stderr, lines.Text())
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("cluster %s did not start: %w%s", c.Name, err, c.tail("supervisor"))
}
