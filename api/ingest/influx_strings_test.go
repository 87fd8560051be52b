package ingest

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"tsdb/storage"
)

// maxLogged is the maximum number of measurements with string fields that are
// logged.
const maxLogged = 1000

// TestInfluxStringsAreLoggedOnceAMeasurement: some clients send string fields with
// every request and get 204. Each measurement is logged once and always counted.
func TestInfluxStringsAreLoggedOnceAMeasurement(t *testing.T) {
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, nil))
	d := openDoor(t, func(o *Options, so *storage.Options) { o.Logger, so.Logger = logger, logger })
	log.Reset()
	for range 5 {
		if a := d.lines("m,h=a s=\"x\",v=1\nm,h=b s=\"y\"\nn\\ x,h=a u=\"z\"\n"); a.code != 204 {
			t.Fatal(a)
		}
		d.clock.Advance(2 * time.Minute)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], "measurement=m field=s") || !strings.Contains(lines[1], `measurement="n\\ x" field=u`) {
		t.Errorf("logged:\n%s", log.String())
	}
	// A refusal that is reported to the client is still logged, once a minute.
	for range 2 {
		if a := d.lines("m,t= v=1"); a.code != 400 {
			t.Fatal(a)
		}
		d.clock.Advance(2 * time.Minute)
	}
	if n := strings.Count(log.String(), "samples refused"); n != 2 {
		t.Errorf("%d lines about refusals:\n%s", n, log.String())
	}
	log.Reset()
	var b strings.Builder
	for i := range 2 * maxLogged {
		fmt.Fprintf(&b, "m%d s=\"x\"\n", i)
	}
	for range 2 {
		if a := d.lines(b.String()); a.code != 204 {
			t.Fatal(a)
		}
	}
	lines = strings.Split(strings.TrimSpace(log.String()), "\n")
	if n := len(lines); n != maxLogged-2 || !strings.Contains(lines[n-1], "further ones of any measurement") {
		t.Errorf("%d lines, the last: %s", n, lines[n-1])
	}
}
