package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"tsdb/internal/await"
)

// Lines that have arrived over TCP and UDP before a stop are stored.
func TestLinesOverTCPAndUDP(t *testing.T) {
	s, client, stop := startService(t, "--influx.tcp", "127.0.0.1:0", "--influx.udp", "127.0.0.1:0", "--influx.listen.db", "home", "--influx.listen.precision", "auto", "--self-scrape.interval", "0")
	at := time.Now().Add(-time.Minute).Unix()
	dial := func(network string, addr net.Addr) net.Conn {
		c, err := net.Dial(network, addr.String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	overTCP, overUDP := dial("tcp", s.lines[0].tcp.Addr()), dial("udp", s.lines[0].udp.LocalAddr())
	for i := range 20 {
		if _, err := fmt.Fprintf(overTCP, "m,net=tcp,i=%d v=%d %d\nnot a line\n", i, i, at); err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(overUDP, "m,net=udp,i=%d v=%d %d", i, i, at); err != nil {
			t.Fatal(err)
		}
	}
	base := strings.TrimSuffix(s.url(), "/")
	count := func() string {
		_, body := get(t, client, fmt.Sprintf(`%s/api/v1/query?query=count(m_v{db="home"})by(net)&time=%d`, base, at))
		return body
	}
	await.That(t, "all lines", func() bool { return strings.Count(count(), `"20"`) == 2 })
	_, metrics := get(t, client, base+"/metrics")
	for _, line := range []string{
		`tsdb_listener_datagrams_total{door="influx"} 20`, `tsdb_listener_connections{door="influx"} 1`, `tsdb_rejected_samples_total{door="influx",reason="bad_value"} 20`,
	} {
		if !strings.Contains(metrics, line) {
			t.Errorf("the metrics have no %s", line)
		}
	}
	if _, body := get(t, client, base+"/api/v1/status/rejected"); !strings.Contains(body, "not a line") {
		t.Errorf("refusals: %s", body)
	}
	if _, err := io.WriteString(overTCP, fmt.Sprintf("m,net=tcp,i=last v=7 %d\n", at)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(overUDP, fmt.Sprintf("m,net=udp,i=last v=7 %d\n", at)); err != nil {
		t.Fatal(err)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	s, client, _ = startService(t, "--data", s.dataDir, "--self-scrape.interval", "0")
	base = strings.TrimSuffix(s.url(), "/")
	await.That(t, "ready", func() bool { code, _ := get(t, client, base+"/-/ready"); return code == http.StatusOK })
	if body := count(); strings.Count(body, `"21"`) != 2 {
		t.Errorf("after a restart: %s", body)
	}
}

func TestLinePortsThatCannotBeOpened(t *testing.T) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conf, err := loadConfig([]string{"--data", t.TempDir(), "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", "--influx.tcp", "127.0.0.1:0", "--influx.udp", c.LocalAddr().String()}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newService(conf, newLogger(io.Discard, conf), 1); err == nil || !strings.Contains(err.Error(), "--influx.udp") {
		t.Errorf("a port that is taken: %v", err)
	}
	if _, err := loadConfig([]string{"--influx.listen.precision", "h"}, io.Discard); err == nil || !strings.Contains(err.Error(), "auto") {
		t.Errorf("an unknown unit: %v", err)
	}
}
