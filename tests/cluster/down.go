package main

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// down ends a cluster, if there is one, and removes everything it made.
func down(state string) error {
	c, err := open(state)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := c.lock(); err != nil {
		return err
	}
	return c.remove()
}

func (c *cluster) remove() error {
	if err := c.clear(); err != nil {
		return err
	}
	return os.Remove(c.State)
}

// clear ends the cluster and empties its state directory. Only the supervisor is killed: the kernel then ends the other
// processes (in a node with the PID namespace, else by the parent-death signal), and with them mounts and network.
func (c *cluster) clear() error {
	if c.Supervisor.alive() {
		processes := c.Supervisor.tree()
		if err := c.Supervisor.kill(); err != nil {
			return err
		}
		for _, p := range processes {
			err := retry(10*time.Second, func() error {
				if p.alive() {
					return fmt.Errorf("process %d does not end", p.PID)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	if !c.ControlPlaneOnly {
		if node == nil {
			return errors.New("this is a cluster with a node: the program that started it removes it")
		}
		if err := node.removeCgroups(c); err != nil {
			return err
		}
	}
	entries, err := os.ReadDir(c.State)
	for _, entry := range entries {
		if entry.Name() != record {
			err = errors.Join(err, os.RemoveAll(c.path(entry.Name())))
		}
	}
	if err != nil {
		return err
	}
	return os.Remove(c.path(record)) // last: without it the directory would not be known as a cluster's
}

// retry repeats an action until it succeeds or the time is up.
func retry(limit time.Duration, action func() error) error {
	for end := time.Now().Add(limit); ; time.Sleep(20 * time.Millisecond) {
		if err := action(); err == nil || time.Now().After(end) {
			return err
		}
	}
}
