package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/sys/unix"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	nodeName    = "node1"
	nodeIP      = "10.250.0.1"
	serviceCIDR = "10.96.0.0/16"
	serviceIP   = "10.96.0.1" // of the API server
)

const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

// startComponents brings up the control plane and, unless it is to be alone, the node.
func (s *supervisor) startComponents() {
	address, etcdPort, peerPort, apiPort := nodeIP, 2379, 2380, 6443
	endpoints := "lease"
	if s.ControlPlaneOnly {
		address, etcdPort, peerPort, apiPort = "127.0.0.1", s.reservePort(), s.reservePort(), s.reservePort()
		endpoints = "none" // the service `kubernetes` cannot have a loopback address behind it
	} else {
		node.prepare(s)
	}
	s.writePKI(fmt.Sprintf("https://%s:%d", address, apiPort), address)
	s.write("audit.yaml", auditPolicy)

	etcd, peer := fmt.Sprintf("http://127.0.0.1:%d", etcdPort), fmt.Sprintf("http://127.0.0.1:%d", peerPort)
	s.write(etcdAddress, etcd)
	s.start("etcd", "--data-dir=etcd", "--listen-client-urls="+etcd, "--advertise-client-urls="+etcd,
		"--listen-peer-urls="+peer, "--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer,
		"--socket-reuse-port", "--unsafe-no-fsync", "--log-level=warn")
	s.start("kube-apiserver", "--etcd-servers="+etcd,
		"--bind-address="+address, "--advertise-address="+address, fmt.Sprint("--secure-port=", apiPort), "--permit-port-sharing",
		"--endpoint-reconciler-type="+endpoints, "--service-cluster-ip-range="+serviceCIDR,
		"--client-ca-file=pki/ca.crt", "--tls-cert-file=pki/kube-apiserver.crt", "--tls-private-key-file=pki/kube-apiserver.key",
		"--kubelet-certificate-authority=pki/ca.crt", "--kubelet-preferred-address-types=InternalIP",
		"--kubelet-client-certificate=pki/kubelet-client.crt", "--kubelet-client-key=pki/kubelet-client.key",
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=pki/service-accounts.key", "--service-account-signing-key-file=pki/service-accounts.key",
		"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--allow-privileged",
		"--audit-policy-file=audit.yaml", "--audit-log-path=log/audit.log",
		"--audit-log-maxsize=2000", "--audit-log-maxbackup=1") // MB; by default it begins anew at 100, and tests count its lines
	if !s.ControlPlaneOnly {
		node.startRuntime(s)
	}

	var client *kubernetes.Clientset
	s.do(func() (err error) {
		client, err = s.client()
		return err
	})
	s.await("kube-apiserver", func(ctx context.Context) error { return apiServerReady(ctx, client) })
	s.start("kube-controller-manager",
		"--kubeconfig=pki/kube-controller-manager.kubeconfig", "--use-service-account-credentials",
		"--service-account-private-key-file=pki/service-accounts.key", "--root-ca-file=pki/ca.crt",
		"--service-cluster-ip-range="+serviceCIDR, "--leader-elect=false", "--secure-port=0",
		"--kube-api-burst=200") // the default makes it spend four seconds on making its service accounts
	if !s.ControlPlaneOnly {
		node.startNode(s, client)
	}
	s.await("kube-controller-manager", func(ctx context.Context) error {
		_, account := client.CoreV1().ServiceAccounts("default").Get(ctx, "default", metav1.GetOptions{})
		_, roots := client.CoreV1().ConfigMaps("default").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
		return errors.Join(account, roots)
	})
}

// client makes a client with all rights.
func (c *cluster) client() (*kubernetes.Clientset, error) {
	config, err := clientcmd.BuildConfigFromFlags("", c.path("kubeconfig"))
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}

func apiServerReady(ctx context.Context, client *kubernetes.Clientset) error {
	status := 0
	err := client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(ctx).StatusCode(&status).Error()
	if status > http.StatusOK {
		return fmt.Errorf("/readyz answers %d", status) // the error itself is a page of text
	}
	return err
}

// reservePort finds a free port on loopback and keeps others from taking it: its socket stays bound, never listens, and
// lets the component that is told to use the port share it.
func (s *supervisor) reservePort() (port int) {
	s.do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return err
		}
		bound, err := unix.Getsockname(fd)
		if err != nil {
			return err
		}
		port = bound.(*unix.SockaddrInet4).Port
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
	return port
}
