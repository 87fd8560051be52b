package ingest

import (
	"fmt"
	"io"
	"maps"
	"net"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/relabel"
	"go.yaml.in/yaml/v3"

	"tsdb/api/ingest/door"
	"tsdb/storage"
)

// Lines that arrive over TCP are stored when the listener has shut down; what is refused
// is in the list of refusals. Relabelling turns parts of a path into labels.
func TestGraphiteLines(t *testing.T) {
	var rules []*relabel.Config
	if err := yaml.Unmarshal([]byte(`
- {source_labels: [__name__], regex: 'servers\.([^.]+)\.(.+)', target_label: host, replacement: $1}
- {source_labels: [__name__], regex: 'servers\.([^.]+)\.(.+)', target_label: __name__, replacement: $2}
`), &rules); err != nil {
		t.Fatal(err)
	}
	for _, r := range rules {
		r.NameValidationScheme = 2 // UTF-8
	}
	d := openDoor(t, func(o *Options, _ *storage.Options) {
		o.Rules = door.Rules{Doors: map[string]door.DoorRules{"graphite": {Relabel: rules}}}
	})
	sec := base / 1000 * 1000
	l := d.in.GraphiteListener(nil)
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.ServeTCP(in) }()
	c, err := net.Dial("tcp", in.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(c, "servers.db1.cpu.idle;dc=eu 98.5 %d\nplain 1 -1\nbad\nold 1 1\nservers.db2.load 2 %[1]d\n", sec/1000)
	if err := c.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, c); err != nil { // until the server has read all
		t.Fatal(err)
	}
	c.Close()
	if err := l.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	want := map[string]map[int64]float64{
		`{__name__="cpu.idle", dc="eu", host="db1"}`: {sec: 98.5}, `{__name__="load", host="db2"}`: {sec: 2}, `{__name__="plain"}`: {testNow.UnixMilli(): 1},
	}
	if got := d.storedFloats(); !maps.EqualFunc(got, want, func(a, b map[int64]float64) bool { return maps.Equal(a, b) }) {
		t.Errorf("stored %v", got)
	}
	a := d.do("GET", "/api/v1/status/rejected?door=graphite", nil)
	for _, part := range []string{`"reason":"bad_value"`, "want path, value and timestamp: bad", `"reason":"too_old"`} {
		if !strings.Contains(a.body, part) {
			t.Errorf("%s, want %s", a.body, part)
		}
	}
}
