//go:build node

package main

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/component-helpers/node/util/sysctl"
)

const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
containerRuntimeEndpoint: unix://STATE/containerd.sock
podLogsDir: STATE/log/pods
volumePluginDir: STATE/kubelet/volume-plugins
tlsCertFile: STATE/pki/kubelet.crt
tlsPrivateKeyFile: STATE/pki/kubelet.key
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: STATE/pki/ca.crt}}
authorization: {mode: Webhook}
clusterDomain: cluster.local
clusterDNS: [NODE_IP]
resolvConf: ""
cgroupDriver: cgroupfs
cgroupRoot: CGROUP_ROOT
enforceNodeAllocatable: []
failCgroupV1: FAIL_CGROUP_V1
failSwapOn: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%}
maxPods: 200
`

const proxyConfig = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: STATE/pki/kube-proxy.kubeconfig}
clusterCIDR: POD_CIDR
hostnameOverride: NODE_NAME
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
`

const corefile = `cluster.local in-addr.arpa ip6.arpa {
  bind NODE_IP
  errors
  kubernetes {
    kubeconfig STATE/pki/coredns.kubeconfig
  }
}
. {
  bind NODE_IP
  template ANY ANY {
    rcode NXDOMAIN
  }
}
`

// fill puts values in the place of the words in capitals.
func (c *cluster) fill(text string) string {
	return strings.NewReplacer("STATE", c.State, "CGROUP_ROOT", c.cgroup(), "FAIL_CGROUP_V1", fmt.Sprint(cgroupV2()),
		"NODE_IP", nodeIP, "NODE_NAME", nodeName, "POD_CIDR", podCIDR, "SERVICE_CIDR", serviceCIDR,
		"CNI_PROGRAMS", cniPrograms, "PAUSE_IMAGE", pauseImage).Replace(text)
}

// checkNode tells what the machine lacks that a node needs.
func checkNode() error {
	if os.Geteuid() != 0 {
		return errors.New("a node needs root; --control-plane-only does not")
	}
	for program, source := range map[string]string{
		"runc": "runc", "iptables": "iptables", "ip": "iproute2", "busybox": "busybox-static", cniPrograms + "/bridge": "containernetworking-plugins",
		"containerd-shim-runc-v2": "this tool", "pause": "this tool",
	} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w (it comes with %s)", err, source)
		}
	}
	return nil
}

func (s *supervisor) prepareNode() {
	s.isolate()
	s.setUpNetwork()
	s.makeCgroups()
}

// isolate keeps what components change outside of the state directory within this mount namespace.
func (s *supervisor) isolate() {
	mount := func(source, target, kind string, flags uintptr, data string) {
		s.do(func() error {
			if err := unix.Mount(source, target, kind, flags, data); err != nil {
				return fmt.Errorf("mounting %s: %w", target, err)
			}
			return nil
		})
	}
	mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, "")  // no mount gets out,
	mount("", "/", "", unix.MS_REC|unix.MS_SHARED, "") // but inside they may propagate, as Pods can ask for
	mount("proc", "/proc", "proc", 0, "")

	// Sockets, locks, links to logs, the cache of CNI: written to a layer in memory.
	private := s.path("private")
	s.do(func() error { return os.Mkdir(private, 0o700) })
	mount("tmpfs", private, "tmpfs", 0, "mode=700")
	state, err := unix.Open(s.State, unix.O_PATH|unix.O_CLOEXEC, 0)
	s.do(func() error { return err })
	for _, dir := range []string{"/run", "/var/lib", "/var/log"} {
		upper, work := filepath.Join(private, dir, "upper"), filepath.Join(private, dir, "work")
		s.do(func() error { return errors.Join(os.MkdirAll(upper, 0o755), os.MkdirAll(work, 0o755)) })
		mount("overlay", dir, "overlay", 0, fmt.Sprintf("lowerdir=%s,upperdir=%s,workdir=%s", dir, upper, work))
		if strings.HasPrefix(s.State, dir+"/") {
			mount(fmt.Sprintf("/proc/self/fd/%d", state), s.State, "", unix.MS_BIND|unix.MS_REC, "")
		}
	}

	// The kubelet sets these for the whole machine, unless it finds them set.
	for name, value := range map[string]int{
		sysctl.VMOvercommitMemory: sysctl.VMOvercommitMemoryAlways,
		sysctl.VMPanicOnOOM:       sysctl.VMPanicOnOOMInvokeOOMKiller,
		sysctl.KernelPanic:        sysctl.KernelPanicRebootTimeout,
		sysctl.KernelPanicOnOops:  sysctl.KernelPanicOnOopsAlways,
		sysctl.RootMaxKeys:        sysctl.RootMaxKeysSetting,
		sysctl.RootMaxBytes:       sysctl.RootMaxBytesSetting,
	} {
		found := filepath.Join("private", filepath.Base(name))
		s.write(found, strconv.Itoa(value))
		mount(s.path(found), filepath.Join("/proc/sys", name), "", unix.MS_BIND, "")
	}
}

// cgroup is the parent of the cgroups of all Pods.
func (c *cluster) cgroup() string {
	return fmt.Sprintf("/cluster-%s-%08x", c.Name, crc32.ChecksumIEEE([]byte(c.State)))
}

func cgroupV2() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// cgroups returns the directories of that cgroup: one with cgroup v2, one in each hierarchy with v1.
func (c *cluster) cgroups() (dirs []string) {
	hierarchies, _ := filepath.Glob("/sys/fs/cgroup/*/cgroup.procs")
	if cgroupV2() {
		hierarchies = []string{"/sys/fs/cgroup/cgroup.procs"}
	}
	for _, file := range hierarchies {
		dirs = append(dirs, filepath.Join(filepath.Dir(file), c.cgroup()))
	}
	return dirs
}

func (s *supervisor) makeCgroups() {
	if cgroupV2() {
		for _, controller := range []string{"cpu", "cpuset", "hugetlb", "memory", "pids"} { // as far as the kernel has them
			os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+"+controller), 0)
		}
	}
	for _, dir := range s.cgroups() {
		s.do(func() error { return os.MkdirAll(dir, 0o755) })
	}
}

// removeCgroups removes the cgroups of the cluster, children first.
func (c *cluster) removeCgroups() error {
	for _, root := range c.cgroups() {
		var dirs []string
		filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				dirs = append(dirs, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(dirs) {
			err := retry(5*time.Second, func() error { return unix.Rmdir(dir) }) // busy while its last process is leaving
			if err != nil {
				return fmt.Errorf("removing cgroup %s: %w", dir, err)
			}
		}
	}
	return nil
}

// startNode starts what turns the machine into a node and waits until Pods can run and find Services.
func (s *supervisor) startNode(client kubernetes.Interface) {
	s.write("kubelet.yaml", s.fill(kubeletConfig))
	s.write("kube-proxy.yaml", s.fill(proxyConfig))
	s.write("Corefile", s.fill(corefile))
	s.start("kubelet", "--config=kubelet.yaml", "--kubeconfig=pki/kubelet.kubeconfig", "--root-dir="+s.path("kubelet"),
		"--hostname-override="+nodeName, "--node-ip="+nodeIP)
	s.start("kube-scheduler", "--kubeconfig=pki/kube-scheduler.kubeconfig", "--leader-elect=false", "--secure-port=0")
	s.start("kube-proxy", "--config=kube-proxy.yaml")
	s.start("coredns", "-conf=Corefile")

	dialer := net.Dialer{Timeout: 200 * time.Millisecond}
	s.await("kube-proxy", func(ctx context.Context) error {
		connection, err := dialer.DialContext(ctx, "tcp", serviceIP+":443")
		if err != nil {
			return err
		}
		return connection.Close()
	})
	dns := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return dialer.DialContext(ctx, "udp", nodeIP+":53")
	}}
	s.await("coredns", func(ctx context.Context) error {
		_, err := dns.LookupHost(ctx, "kubernetes.default.svc.cluster.local.")
		return err
	})
	s.await("kubelet", func(ctx context.Context) error {
		node, err := client.CoreV1().Nodes().Get(ctx, nodeName, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type != corev1.NodeReady {
				continue
			} else if condition.Status != corev1.ConditionTrue {
				return errors.New(condition.Message)
			} else if len(node.Spec.Taints) > 0 {
				return fmt.Errorf("the node has the taint %s", node.Spec.Taints[0].Key)
			}
			return nil
		}
		return errors.New("the node has no status yet")
	})
}
