package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/grpclog"
)

// Faults that a test asks for. A component that is kept down has a file of its name in this directory, which the supervisor
// looks at before it starts one again.
const downDir = "down"

// etcdAddress is the file that says where etcd listens.
const etcdAddress = "etcd.address"

func (c *cluster) keptDown(component string) bool {
	_, err := os.Stat(c.path(downDir + "/" + component))
	return err == nil
}

// component finds the process of a component, if it runs.
func (c *cluster) component(name string) (p process, runs bool, err error) {
	if programs[name] == nil || name == "kubectl" {
		return p, false, fmt.Errorf("there is no component %q", name)
	}
	for _, p := range c.Supervisor.tree() {
		if p.program() == name {
			return p, true, nil
		}
	}
	return p, false, nil
}

// stopComponent kills a component and returns when it is gone. Its clients get "connection refused" until it is started.
func (c *cluster) stopComponent(name string) error {
	if _, _, err := c.component(name); err != nil {
		return err
	}
	if err := os.MkdirAll(c.path(downDir), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(c.path(downDir+"/"+name), nil, 0o600); err != nil {
		return err
	}
	// It may be about to start at this very moment: look until it was gone twice.
	for gone, end := 0, time.Now().Add(10*time.Second); gone < 2; time.Sleep(60 * time.Millisecond) {
		p, runs, err := c.component(name)
		switch {
		case err != nil:
			return err
		case !runs:
			gone++
		case time.Now().After(end):
			return fmt.Errorf("%s, process %d, does not end", name, p.PID)
		default:
			gone = 0
			if err := p.kill(); err != nil {
				return fmt.Errorf("killing %s: %w", name, err)
			}
		}
	}
	return nil
}

// freezeComponent lets a component stand still: its connections stay open and silent.
func (c *cluster) freezeComponent(name string) error {
	p, runs, err := c.component(name)
	if err == nil && !runs {
		err = fmt.Errorf("%s does not run", name)
	}
	if err != nil {
		return err
	}
	return p.signal(syscall.SIGSTOP)
}

// startComponent undoes both, and returns when the component runs and the API server, unless that is down, is ready.
func (c *cluster) startComponent(name string, timeout time.Duration) error {
	if err := c.enter(); err != nil {
		return err
	}
	if _, _, err := c.component(name); err != nil {
		return err
	}
	if err := os.Remove(c.path(downDir + "/" + name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	client, err := c.client()
	if err != nil {
		return err
	}
	err = retry(timeout, func() error {
		p, runs, err := c.component(name)
		if err == nil && !runs {
			err = errors.New("it does not run yet")
		}
		if err != nil {
			return err
		}
		if err := p.signal(syscall.SIGCONT); err != nil || c.keptDown("kube-apiserver") {
			return err
		}
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		return apiServerReady(ctx, client)
	})
	if err != nil {
		return fmt.Errorf("starting %s: %w%s", name, err, c.tail(name))
	}
	return nil
}

// compact lets etcd forget every version of every object but the last. The API server still has the latest events in
// memory; started again, it answers 410 to whoever wants to go on from an earlier version.
func (c *cluster) compact() error {
	if err := c.enter(); err != nil {
		return err
	}
	address, err := os.ReadFile(c.path(etcdAddress))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, io.Discard)) // it warns of each connection that is closed
	client, err := clientv3.New(clientv3.Config{Context: ctx, Endpoints: []string{string(address)}, Logger: zap.NewNop()})
	if err != nil {
		return fmt.Errorf("etcd: %w", err)
	}
	defer client.Close()
	// A revision of its own, so that what was read before is older than what is kept.
	put, err := client.Put(ctx, "compacted", time.Now().UTC().Format(time.RFC3339))
	if err == nil {
		_, err = client.Compact(ctx, put.Header.Revision, clientv3.WithCompactPhysical())
	}
	if err != nil {
		return fmt.Errorf("compacting etcd: %w", err)
	}
	fmt.Println(put.Header.Revision)
	return nil
}
