//go:build node

package main

import (
	"context"
	"maps"
	"os"

	containerd "github.com/containerd/containerd/v2/cmd/containerd/command"
	"github.com/coredns/coredns/coremain"
	"github.com/spf13/cobra"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	// The plugins of containerd and CoreDNS.
	_ "github.com/containerd/containerd/v2/cmd/containerd/builtins"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/template"
)

func init() {
	maps.Copy(programs, map[string]func(){
		"containerd":     func() { exit(containerd.App().Run(os.Args)) },
		"coredns":        coremain.Run,
		"kube-scheduler": cobraMain(func() *cobra.Command { return scheduler.NewSchedulerCommand() }),
		"kube-proxy":     cobraMain(proxy.NewProxyCommand),
		"kubelet":        cobraMain(func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) }),
	})
	node = &nodeParts{
		check:         checkNode,
		prepare:       (*supervisor).prepareNode,
		startRuntime:  (*supervisor).startContainerd,
		startNode:     (*supervisor).startNode,
		load:          (*cluster).load,
		removeCgroups: (*cluster).removeCgroups,
	}
}
