package prom

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// A snapshot is made, listed, read by ranges and removed.
func TestSnapshotsOverHTTP(t *testing.T) {
	s := newServer(t, Options{})
	var made struct{ Name string }
	s.send(t, http.MethodPut, "/admin/tsdb/snapshot", nil).data(t, &made)
	if len(made.Name) != 25 {
		t.Fatalf("name %q", made.Name)
	}
	var list struct {
		Snapshots []struct {
			Name  string
			Bytes int64
		}
	}
	s.get(t, "/admin/tsdb/snapshots").data(t, &list)
	if len(list.Snapshots) != 1 || list.Snapshots[0].Name != made.Name || list.Snapshots[0].Bytes == 0 {
		t.Fatalf("%+v", list)
	}
	base := "/admin/tsdb/snapshots/" + made.Name
	var files struct {
		Files []struct {
			Path string
			Size int64
		}
	}
	s.get(t, base+"/files").data(t, &files)
	sizes := map[string]int64{}
	for _, f := range files.Files {
		sizes[f.Path] = f.Size
	}
	if sizes["MANIFEST"] == 0 || sizes["SNAPSHOT"] == 0 {
		t.Fatalf("files: %v", sizes)
	}

	read := func(name, ranges string) (int, string) {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, s.URL+"/api/v1"+base+"/files/"+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if ranges != "" {
			r.Header.Set("Range", ranges)
		}
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	if code, b := read("MANIFEST", ""); code != 200 || int64(len(b)) != sizes["MANIFEST"] || !strings.HasPrefix(b, "tsdbmani") {
		t.Errorf("MANIFEST: %d, %d bytes", code, len(b))
	}
	if code, b := read("MANIFEST", "bytes=4-7"); code != 206 || b != "mani" {
		t.Errorf("range: %d %q", code, b)
	}
	for _, name := range []string{"wal", "%2e%2e/%2e%2e/MANIFEST", "../../MANIFEST", "LOCK", "none", "a//b", "..%5cMANIFEST"} {
		if code, b := read(name, ""); code == 200 {
			t.Errorf("%s is served: %q", name, b)
		}
	}
	for _, name := range []string{"x", "20261130T010203Z-0000000g", "..", "20261130T010203Z-00000000.tmp"} {
		if r := s.send(t, http.MethodPost, "/admin/tsdb/snapshots/"+name+"/remove", nil); r.status < 300 {
			t.Errorf("removal of %q: %+v", name, r)
		}
	}
	var e struct{ ErrorType, Error string }
	r := s.get(t, "/admin/tsdb/snapshots/20261130T010203Z-00000000/files")
	if err := json.Unmarshal([]byte(r.body), &e); err != nil || r.status != 404 || e.ErrorType != "not_found" {
		t.Errorf("missing snapshot: %+v", r)
	}
	if r := s.post(t, "/admin/tsdb/snapshot", "skip_head", "perhaps"); r.status != 400 {
		t.Errorf("bad parameter: %+v", r)
	}
	if r := s.send(t, http.MethodDelete, base, nil); r.status != 204 {
		t.Errorf("removal: %+v", r)
	}
	s.get(t, "/admin/tsdb/snapshots").data(t, &list)
	if len(list.Snapshots) != 0 {
		t.Errorf("after the removal: %+v", list)
	}
}
