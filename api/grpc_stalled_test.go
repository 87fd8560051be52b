package api

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"tsdb/api/reqbody"
	"tsdb/internal/await"
)

// stall sends 200,000 bytes of a message of 1 MiB.
func stall(t *testing.T, conn net.Conn) {
	t.Helper()
	var b bytes.Buffer
	b.WriteString(http2.ClientPreface)
	f := http2.NewFramer(&b, nil)
	_ = f.WriteSettings()
	var h bytes.Buffer
	e := hpack.NewEncoder(&h)
	for _, x := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":path", "/grpc.health.v1.Health/Check"}, {":authority", "x"}, {"content-type", "application/grpc"}, {"te", "trailers"}} {
		_ = e.WriteField(hpack.HeaderField{Name: x[0], Value: x[1]})
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: h.Bytes(), EndHeaders: true})
	message := make([]byte, 200_005)
	binary.BigEndian.PutUint32(message[1:], 1<<20)
	for len(message) > 0 {
		n := min(len(message), 16<<10)
		_ = f.WriteData(1, false, message[:n])
		message = message[n:]
	}
	_, _ = conn.Write(b.Bytes()) // fails if the server has closed the connection
}

// usedBecomes waits until a budget has n bytes taken.
func usedBecomes(t *testing.T, b *reqbody.Budget, n int64) {
	t.Helper()
	await.That(t, fmt.Sprintf("%d bytes are charged", n), func() bool { return b.Used() == n })
}

// TestStalledGRPCMessagesYield: unfinished messages stay within the budget and yield
// to later ones, so that other clients are served, with TLS and without.
func TestStalledGRPCMessagesYield(t *testing.T) {
	dir := t.TempDir()
	pool := certificate(t, dir)
	file := filepath.Join(dir, "web.yml")
	write(t, file, []byte("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"))
	t.Run("plain", func(t *testing.T) {
		testStalledGRPCMessagesYield(t, "", insecure.NewCredentials(), func(addr string) (net.Conn, error) { return net.Dial("tcp", addr) })
	})
	t.Run("TLS", func(t *testing.T) {
		c := &tls.Config{RootCAs: pool, NextProtos: []string{"h2"}}
		testStalledGRPCMessagesYield(t, file, credentials.NewTLS(c), func(addr string) (net.Conn, error) { return tls.Dial("tcp", addr, c) })
	})
}

func testStalledGRPCMessagesYield(t *testing.T, webConfig string, transport credentials.TransportCredentials, dial func(addr string) (net.Conn, error)) {
	r, err := NewRPC(prometheus.NewRegistry(), slog.New(slog.DiscardHandler), webConfig)
	if err != nil {
		t.Fatal(err)
	}
	budget := reqbody.NewBudget(reqbody.Options{Limit: 1 << 20, MinRate: 256})
	r.ChargeTo(budget)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- r.Serve(l) }()
	var conns []net.Conn
	stalled := func() {
		c, err := dial(l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
		stall(t, c)
	}
	for range 5 {
		stalled()
	}
	usedBecomes(t, budget, 5*200_005)
	stalled() // does not fit
	ended := make(chan struct{}, len(conns))
	for _, c := range conns {
		go func() {
			_, _ = io.Copy(io.Discard, c)
			ended <- struct{}{}
		}()
	}
	<-ended // one has yielded, or was refused
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(transport))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := healthpb.NewHealthClient(conn).Check(t.Context(), &healthpb.HealthCheckRequest{}); err != nil {
		t.Errorf("a client with a complete message: %v", err)
	}
	conn.Close()
	for _, c := range conns {
		c.Close()
	}
	usedBecomes(t, budget, 0)
	r.Shutdown(t.Context())
	if err := <-done; err != nil {
		t.Error(err)
	}
}
