package main

import (
	"context"
	"os"

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-base/cli"
	kubectl "k8s.io/kubectl/pkg/cmd"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

// programs are what this binary is when called by their names. Each reads os.Args.
var programs = map[string]func(){
	"etcd":                    func() { etcdmain.Main(os.Args) },
	"kubectl":                 func() { exit(cli.RunNoErrOutput(kubectl.NewDefaultKubectlCommand())) },
	"kube-apiserver":          cobraMain(apiserver.NewAPIServerCommand),
	"kube-controller-manager": cobraMain(controllermanager.NewControllerManagerCommand),
}

func cobraMain(command func() *cobra.Command) func() {
	return func() { os.Exit(cli.Run(command())) }
}

// node is what makes a node of the machine beside the control plane. It is nil in the program that was built without the tag
// `node`: a control plane alone takes half the time to build.
var node *nodeParts

type nodeParts struct {
	check         func() error                                    // tells what is missing before anything is started
	prepare       func(*supervisor)                               // before the first component starts
	startRuntime  func(*supervisor)                               // while the API server starts
	startNode     func(*supervisor, kubernetes.Interface)         // once it answers
	load          func(*cluster, context.Context, []string) error // imports image archives
	removeCgroups func(*cluster) error                            // what no namespace takes with it
}
