//go:build node

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

const podCIDR = "10.244.0.0/24"

// The node's own network: a pair of interfaces joined to each other, one of which has the node's address. The route lets
// the node itself use Services; there is none to anywhere else.
const links = `link set lo up
link add node0 type veth peer name node0-peer
link set node0-peer up
link set node0 up
address add NODE_IP/24 dev node0
route add SERVICE_CIDR dev node0
`

// setUpNetwork fills the supervisor's new, empty network namespace.
func (s *supervisor) setUpNetwork() {
	s.do(func() error {
		ip := exec.Command("ip", "-batch", "-")
		ip.Stdin = strings.NewReader(s.fill(links))
		if output, err := ip.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, output)
		}
		return nil
	})
	s.do(func() error {
		err := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("1"), 0) // for Services to work between Pods
		if errors.Is(err, os.ErrNotExist) {
			err = errors.New("the kernel module br_netfilter is missing: modprobe br_netfilter")
		}
		return err
	})
	s.do(func() error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0) })
}
