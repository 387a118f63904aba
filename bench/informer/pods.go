package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// atOnce is how many requests are under way. The API server is the limit, not this.
const atOnce = 32

func podName(i int) string { return fmt.Sprintf("worker-%05d", i) }

// create makes pods such as a Job makes of a worker: with labels, variables and a projected token, 3 KiB of JSON.
func create(ctx context.Context, client kubernetes.Interface, o options) error {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: o.namespace}}
	_, err := client.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	// Admission wants the account, which a controller makes.
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	_, err = client.CoreV1().ServiceAccounts(o.namespace).Create(ctx, account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	return inParallel(ctx, o.pods, func(i int) error {
		_, err := client.CoreV1().Pods(o.namespace).Create(ctx, pod(i), metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			return nil
		}
		return err
	})
}

// touch changes a label, as little as an event can be about.
func touch(ctx context.Context, client kubernetes.Interface, o options) error {
	begin := time.Now().UnixNano() // a value that is there already would be no event
	return inParallel(ctx, o.events, func(i int) error {
		change := fmt.Appendf(nil, `{"metadata":{"labels":{"touched":"%d"}}}`, begin+int64(i))
		_, err := client.CoreV1().Pods(o.namespace).Patch(ctx, podName(i%o.pods), types.MergePatchType, change, metav1.PatchOptions{})
		return err
	})
}

func pod(i int) *corev1.Pod {
	no, seconds := false, int64(3600)
	name := podName(i)
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: name,
			Labels: map[string]string{"app.kubernetes.io/name": "backfill-worker", "app.kubernetes.io/component": "run",
				"app.kubernetes.io/managed-by": "backfill-operator", "backfill.dev/backfill-name": "orders", "backfill.dev/stage": "run",
				"batch.kubernetes.io/job-completion-index": fmt.Sprint(i)},
		},
		Spec: corev1.PodSpec{
			RestartPolicy:                corev1.RestartPolicyNever,
			AutomountServiceAccountToken: &no,
			Containers: []corev1.Container{{
				Name: "worker", Image: "localhost/backfill/worker:1",
				Env: []corev1.EnvVar{{Name: "BACKFILL_NAME", Value: "orders"}, {Name: "BACKFILL_STAGE", Value: "run"},
					{Name: "BACKFILL_POD_NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}},
					{Name: "BACKFILL_POD_UID", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.uid"}}}},
				VolumeMounts: []corev1.VolumeMount{{Name: "backfill-identity", MountPath: "/var/run/secrets/backfill.dev", ReadOnly: true}},
			}},
			Volumes: []corev1.Volume{{Name: "backfill-identity", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
					Audience: "backfill-operator", ExpirationSeconds: &seconds, Path: "token"}}}}}}},
		},
	}
}

// inParallel calls do for 0 to n-1. The first error ends it.
func inParallel(ctx context.Context, n int, do func(int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var all sync.WaitGroup
	for range atOnce {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					cancel(err)
				}
			}
		})
	}
	all.Wait()
	return context.Cause(ctx)
}
