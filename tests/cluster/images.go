//go:build node

package main

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// One image has two names: it is the first process of every Pod, and a shell for tests. Without a command it waits.
const (
	pauseImage   = "localhost/pause:1"
	busyboxImage = "localhost/busybox:1"
)

// builtinImage makes a docker archive of that image.
func builtinImage() (io.Reader, error) {
	pause, err := os.ReadFile(filepath.Join(filepath.Dir(self()), "pause"))
	if err != nil {
		return nil, err
	}
	path, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	busybox, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	applets, err := exec.Command(path, "--list").Output()
	if err != nil {
		return nil, err
	}
	files := []file{{name: "tmp/", mode: 0o1777}, {name: "pause", mode: 0o755, data: pause}, {name: "bin/busybox", mode: 0o755, data: busybox}}
	for _, applet := range strings.Fields(string(applets)) {
		if applet != "busybox" {
			files = append(files, file{name: "bin/" + applet, link: "busybox"})
		}
	}
	layer, err := pack(files)
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf(`{"architecture": "%s", "os": "linux", "config": {"Cmd": ["/pause"], "Env": ["PATH=/bin"]},
		"rootfs": {"type": "layers", "diff_ids": ["sha256:%x"]}}`, runtime.GOARCH, sha256.Sum256(layer))
	manifest := fmt.Sprintf(`[{"Config": "config.json", "RepoTags": ["%s", "%s"], "Layers": ["layer.tar"]}]`, pauseImage, busyboxImage)
	image, err := pack([]file{
		{name: "manifest.json", data: []byte(manifest)}, {name: "config.json", data: []byte(config)}, {name: "layer.tar", data: layer},
	})
	return bytes.NewReader(image), err
}

type file struct {
	name string
	mode int64
	link string // what a symbolic link points to
	data []byte
}

// pack makes a tar archive.
func pack(files []file) ([]byte, error) {
	var buffer bytes.Buffer
	out := tar.NewWriter(&buffer)
	for _, f := range files {
		header := &tar.Header{Name: f.name, Mode: f.mode, Linkname: f.link, Size: int64(len(f.data))}
		if f.link != "" {
			header.Typeflag = tar.TypeSymlink
		}
		if err := out.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := out.Write(f.data); err != nil {
			return nil, err
		}
	}
	return buffer.Bytes(), out.Close()
}
