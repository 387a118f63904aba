package main

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/metadata/metadatainformer"
	"k8s.io/client-go/tools/cache"
)

// cost is what the process has used since its start, when the store was full and when the events had come.
type cost struct {
	Pods          int     `json:"pods"`
	Events        int64   `json:"events"`
	SyncCPU       float64 `json:"sync_cpu_seconds"`
	SyncSeconds   float64 `json:"sync_seconds"`
	TotalCPU      float64 `json:"cpu_seconds"`
	EventsSeconds float64 `json:"events_seconds"`
	MaxRSS        int64   `json:"max_rss_kib"`
}

// watch runs an informer of all pods in the namespace.
func watch(ctx context.Context, o options) (*cost, error) {
	informer, start, err := newInformer(o)
	if err != nil {
		return nil, err
	}
	var pods, events atomic.Int64 // counted, as asking the store would cost more than what is measured
	if _, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { pods.Add(1) },
		UpdateFunc: func(before, after any) {
			if before.(metav1.Object).GetResourceVersion() != after.(metav1.Object).GetResourceVersion() {
				events.Add(1)
			}
		},
	}); err != nil {
		return nil, err
	}
	began := time.Now()
	start(ctx.Done())
	await := func(what string, done func() bool) error {
		for !done() {
			select {
			case <-ctx.Done():
				return fmt.Errorf("waiting for %s, with %d pods and %d events: %w", what, pods.Load(), events.Load(), context.Cause(ctx))
			case <-time.After(5 * time.Millisecond):
			}
		}
		return nil
	}
	full := func() bool { return informer.HasSynced() && pods.Load() >= int64(o.pods) }
	if err := await("pods", full); err != nil {
		return nil, err
	}
	result := &cost{SyncSeconds: time.Since(began).Seconds(), SyncCPU: used().cpu}
	fmt.Fprintln(os.Stderr, "synced") // whoever makes the events waits for this
	began = time.Now()
	if err := await("events", func() bool { return events.Load() >= int64(o.events) }); err != nil {
		return nil, err
	}
	total := used()
	result.Pods, result.Events = len(informer.GetStore().ListKeys()), events.Load()
	result.TotalCPU, result.MaxRSS, result.EventsSeconds = total.cpu, total.maxRSS, time.Since(began).Seconds()
	return result, nil
}

// newInformer makes the informer, and what starts it.
func newInformer(o options) (cache.SharedIndexInformer, func(<-chan struct{}), error) {
	if o.metadataOnly {
		client, err := metadata.NewForConfig(o.config)
		if err != nil {
			return nil, nil, err
		}
		factory := metadatainformer.NewFilteredSharedInformerFactory(client, 0, o.namespace, nil)
		return factory.ForResource(corev1.SchemeGroupVersion.WithResource("pods")).Informer(), factory.Start, nil
	}
	client, err := kubernetes.NewForConfig(o.config)
	if err != nil {
		return nil, nil, err
	}
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(o.namespace))
	return factory.Core().V1().Pods().Informer(), factory.Start, nil
}

type usageOfProcess struct {
	cpu    float64 // seconds, user and system
	maxRSS int64   // KiB
}

func used() usageOfProcess {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return usageOfProcess{}
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return usageOfProcess{cpu: seconds(u.Utime) + seconds(u.Stime), maxRSS: u.Maxrss}
}
