package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Check and inspect repeatedly read the directory of a server that writes, cuts and
// merges, and find no errors.
func TestCheckAndInspectBesideARunningServer(t *testing.T) {
	s := newServer(t, t.TempDir())
	s.start(t)
	s.waitReady(t)
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		stopped <- func() error {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return nil
				default:
				}
				var lines strings.Builder
				for k := range 50 {
					fmt.Fprintf(&lines, "m,k=%d v=%d %d\n", k, i, time.Now().Add(-time.Duration(i)*time.Minute).UnixMilli())
				}
				for _, c := range []struct{ path, body string }{{"/write?precision=ms", lines.String()}, {"/api/v1/admin/flush", ""}, {"/api/v1/admin/compact", ""}} {
					if strings.HasSuffix(c.path, "compact") && i%4 != 3 {
						continue
					}
					resp, err := http.Post(s.url()+c.path, "", strings.NewReader(c.body))
					if err != nil {
						return err
					}
					resp.Body.Close()
					if resp.StatusCode/100 != 2 {
						return fmt.Errorf("POST %s: %s", c.path, resp.Status)
					}
				}
			}
		}()
	}()
	for range 8 {
		if code, out := runProgram(t, tsdbBin, "check", "--data", s.dir); code != 0 || !strings.Contains(out, "a server has it open") {
			t.Errorf("tsdb check beside a running server ends with %d:\n%s", code, out)
		}
		if code, out := runProgram(t, tsdbBin, "inspect", "--data", s.dir); code != 0 || !strings.Contains(out, "in use by a running server") {
			t.Errorf("tsdb inspect beside a running server ends with %d:\n%s", code, out)
		}
	}
	if code, out := runProgram(t, tsdbBin, "repair", "--data", s.dir); code != 2 || !strings.Contains(out, "in use") {
		t.Errorf("tsdb repair beside a running server ends with %d:\n%s", code, out)
	}
	close(stop)
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	s.stop(t)
	s.check(t)
}
