// What a careful engineer would write in an afternoon: net/http, keep-alive, a bounded number of requests in flight.
// post -url http://127.0.0.1:8080 -n 100000 -c 32 [-batch 100]
package main

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

func main() {
	url := flag.String("url", "", "of the target")
	n := flag.Int("n", 100000, "records")
	c := flag.Int("c", 32, "requests in flight")
	batch := flag.Int("batch", 1, "records in a request")
	flag.Parse()
	client := &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{MaxIdleConns: *c, MaxIdleConnsPerHost: *c, DisableCompression: true},
	}
	padding := strings.Repeat("x", 40)
	blocks := make(chan int, *c)
	var workers sync.WaitGroup
	for i := 0; i < *c; i++ {
		workers.Add(1)
		go func() {
			defer workers.Done()
			var body bytes.Buffer
			for first := range blocks {
				body.Reset()
				path := "/batch"
				if *batch == 1 {
					path = "/r/" + strconv.Itoa(first)
					fmt.Fprintf(&body, `{"id":%d,"padding":"%s"}`, first, padding)
				} else {
					body.WriteString(`{"records":[`)
					for id := first; id < min(first+*batch, *n); id++ {
						if id > first {
							body.WriteByte(',')
						}
						body.WriteString(`{"key":`)
						body.WriteString(strconv.Itoa(id))
						body.WriteByte('}')
					}
					body.WriteString(`]}`)
				}
				reply, err := client.Post(*url+path, "application/json", bytes.NewReader(body.Bytes()))
				if err != nil {
					log.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, reply.Body); err != nil || reply.StatusCode != 200 {
					log.Fatal(reply.Status, err)
				}
				reply.Body.Close()
			}
		}()
	}
	for first := 0; first < *n; first += *batch {
		blocks <- first
	}
	close(blocks)
	workers.Wait()
}

func min(a, b int) int {
	if a < b {
		return a
	}
	return b
}
