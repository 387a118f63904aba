// Command informer is what the cache of operator/kube is compared with: an informer of client-go.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const usage = `usage: informer COMMAND [OPTIONS]

  watch    list and watch until the store has --pods pods and --events changes of them have come, then print, as JSON,
           the CPU seconds, the wall clock seconds and the memory that took

  --kubeconfig FILE (default $KUBECONFIG)   --namespace NAME (default "informer")   --pods N (10000)   --events N (0)
  --metadata-only (watch: no spec, no status)   --protobuf (watch: not JSON)   --timeout 5m
`

// options are the same for all commands.
type options struct {
	namespace    string
	pods, events int
	metadataOnly bool
	config       *rest.Config
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintf(os.Stderr, "informer: %v\n", err)
		os.Exit(1)
	}
}

func run(command string, args []string) (err error) {
	o := options{}
	flags := flag.NewFlagSet(command, flag.ExitOnError)
	flags.Usage = func() { fmt.Fprint(flags.Output(), usage) }
	kubeconfig := flags.String("kubeconfig", os.Getenv("KUBECONFIG"), "")
	protobuf := flags.Bool("protobuf", false, "")
	timeout := flags.Duration("timeout", 5*time.Minute, "")
	flags.StringVar(&o.namespace, "namespace", "informer", "")
	flags.IntVar(&o.pods, "pods", 10000, "")
	flags.IntVar(&o.events, "events", 0, "")
	flags.BoolVar(&o.metadataOnly, "metadata-only", false, "")
	flags.Parse(args)
	if o.pods < 1 || o.events < 0 || flags.NArg() > 0 {
		return fmt.Errorf("--pods is at least 1, --events at least 0, and there are no arguments: %q", flags.Args())
	}
	if o.config, err = clientcmd.BuildConfigFromFlags("", *kubeconfig); err != nil {
		return err
	}
	o.config.QPS = -1 // what is measured is the client, not its patience
	// Without a word client-go asks for protobuf where there is such a type; resources of others are always JSON.
	o.config.ContentType = "application/json"
	if *protobuf {
		o.config.ContentType = "application/vnd.kubernetes.protobuf"
	}
	o.config.AcceptContentTypes = o.config.ContentType
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, *timeout)
	defer cancel()

	if command != "watch" {
		return fmt.Errorf("there is no command %q\n\n%s", command, usage)
	}
	cost, err := watch(ctx, o)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(cost)
}
