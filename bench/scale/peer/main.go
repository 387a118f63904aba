// Peer keeps as many streams as come, as the coordinator does, and does the least that a server can: it greets, counts, and
// answers each message. It does not even decode them. What it takes is what gRPC and TLS take in Go.
//
//	peer -listen 127.0.0.1:9000 -cert crt -key key -period 250ms
//
// On each line of standard input it says how many streams and messages there were.
package main

import (
	"bufio"
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/encoding"
	"google.golang.org/protobuf/encoding/protowire"
)

// frame is a message as it came.
type frame []byte

type frames struct{}

func (frames) Name() string                  { return "proto" }
func (frames) Marshal(v any) ([]byte, error) { return *v.(*frame), nil }
func (frames) Unmarshal(data []byte, v any) error {
	f := v.(*frame)
	*f = append((*f)[:0], data...)
	return nil
}

func field(to []byte, number protowire.Number, value uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(to, number, protowire.VarintType), value)
}

func message(to []byte, number protowire.Number, content []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(to, number, protowire.BytesType), content)
}

// welcome says Welcome: nothing to do, and a report each period (proto/backfill/v1/coordinator.proto).
func welcome(period time.Duration) frame {
	limits := field(nil, 1, 16)
	limits = field(limits, 2, 5)
	limits = field(limits, 3, 10)
	limits = field(limits, 4, uint64(period.Milliseconds()))
	w := field(nil, 1, 1)
	w = field(w, 2, 1)
	w = message(w, 4, limits)
	w = field(w, 5, 50_000)
	w = field(w, 6, 500)
	w = field(w, 7, 2)
	w = field(w, 9, 1)
	return message(field(nil, 1, 1), 2, w)
}

var streams, received atomic.Int64

func work(greeting frame) grpc.StreamHandler {
	return func(_ any, stream grpc.ServerStream) error {
		streams.Add(1)
		defer streams.Add(-1)
		var in frame
		for sequence := uint64(1); ; sequence++ {
			if err := stream.RecvMsg(&in); err != nil {
				return nil
			}
			received.Add(1)
			answer := greeting
			if sequence > 1 {
				answer = message(field(nil, 1, sequence), 7, field(nil, 3, sequence))
			}
			if err := stream.SendMsg(&answer); err != nil {
				return nil
			}
		}
	}
}

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "")
	cert := flag.String("cert", "", "PEM; none: without TLS")
	key := flag.String("key", "", "")
	period := flag.Duration("period", 2*time.Second, "between reports of a worker")
	flag.Parse()
	encoding.RegisterCodec(frames{})
	var options []grpc.ServerOption
	if *cert != "" {
		pair, err := tls.LoadX509KeyPair(*cert, *key)
		if err != nil {
			log.Fatal(err)
		}
		options = append(options, grpc.Creds(credentials.NewServerTLSFromCert(&pair)))
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(options...)
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "backfill.v1.Coordinator",
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName: "Work", Handler: work(welcome(*period)), ServerStreams: true, ClientStreams: true,
		}},
	}, nil)
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			fmt.Printf("state connected=%d messages=%d\n", streams.Load(), received.Load())
		}
		os.Exit(0)
	}()
	fmt.Printf("serving address=%s uid=peer\n", listener.Addr())
	log.Fatal(server.Serve(listener))
}
