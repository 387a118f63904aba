//go:build node

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	containerd "github.com/containerd/containerd/v2/client"
	"github.com/distribution/reference"
)

const cniPrograms = "/usr/lib/cni"

const containerdConfig = `version = 3
root = "STATE/containerd/root"
state = "STATE/containerd/state"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.opt"]
[grpc]
  address = "STATE/containerd.sock"
[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = "PAUSE_IMAGE"
[plugins."io.containerd.cri.v1.runtime"]
  disable_apparmor = true
  restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
  bin_dirs = ["CNI_PROGRAMS"]
  conf_dir = "STATE/cni"
`

const cniConfig = `{"cniVersion": "1.0.0", "name": "pods", "plugins": [
  {"type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true, "ipam": {"type": "host-local",
    "dataDir": "STATE/cni/addresses", "ranges": [[{"subnet": "POD_CIDR"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
`

// startContainerd starts containerd, which is ready when it has the image that every Pod needs.
func (s *supervisor) startContainerd() {
	s.write("cni/pods.conflist", s.fill(cniConfig))
	s.write("containerd.toml", s.fill(containerdConfig))
	s.start("containerd", "--config=containerd.toml")
	s.await("containerd", func(ctx context.Context) error {
		client, err := s.containerd()
		if err != nil {
			return err
		}
		defer client.Close()
		image, err := builtinImage()
		if err != nil {
			return err
		}
		_, err = importImage(ctx, client, image)
		return err
	})
}

func (c *cluster) containerd() (*containerd.Client, error) {
	return containerd.New(c.path("containerd.sock"), containerd.WithDefaultNamespace("k8s.io"))
}

// load imports image archives into the node.
func (c *cluster) load(ctx context.Context, archives []string) error {
	if len(archives) == 0 {
		return errors.New("load needs an archive")
	}
	client, err := c.containerd()
	if err != nil {
		return err
	}
	defer client.Close()
	for _, archive := range archives {
		file, err := os.Open(archive)
		if err != nil {
			return err
		}
		defer file.Close()
		names, err := importImage(ctx, client, file)
		if err != nil {
			return fmt.Errorf("%s: %w", archive, err)
		}
		fmt.Fprintln(os.Stderr, "loaded", names)
	}
	return nil
}

// importImage imports an OCI or docker archive and unpacks it, so that the first Pod need not wait for that.
func importImage(ctx context.Context, client *containerd.Client, archive io.Reader) (names []string, err error) {
	images, err := client.Import(ctx, archive, containerd.WithImageRefTranslator(func(name string) string {
		full, err := reference.ParseNamed(name)
		if err != nil {
			return "" // no Pod could refer to it
		}
		return reference.TagNameOnly(full).String()
	}))
	if err == nil && len(images) == 0 {
		err = errors.New("it holds no image with a full name such as localhost/app:dev")
	}
	for _, image := range images {
		if err == nil {
			err = containerd.NewImage(client, image).Unpack(ctx, "")
		}
		names = append(names, image.Name)
	}
	return names, err
}
