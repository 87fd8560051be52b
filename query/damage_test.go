package query_test

import (
	"path"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/promql"

	"tsdb/internal/vfs"
	"tsdb/query"
)

// blockFiles returns the block files of a data directory with their sizes.
func blockFiles(t *testing.T, fs vfs.FS, dir string) map[string]int64 {
	t.Helper()
	files := map[string]int64{}
	names, err := fs.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		full := path.Join(dir, name)
		info, err := fs.Stat(full)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case info.IsDir:
			for k, v := range blockFiles(t, fs, full) {
				files[k] = v
			}
		case strings.HasSuffix(name, ".tsb"):
			files[full] = info.Size
		}
	}
	return files
}

// A damaged chunk costs its samples and no more: the query answers with the
// others, and warns. The damage shows while samples are read, after the engine
// has asked for the warnings.
func TestDamageIsAWarning(t *testing.T) {
	s := loaded(t)
	if _, err := s.DB.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.DB.Compact(t.Context()); err != nil {
		t.Fatal(err)
	}
	files := blockFiles(t, s.FS, "data/raw")
	if len(files) < 30 {
		t.Fatalf("%d blocks", len(files))
	}
	var name string // of the partition in the middle
	for f := range files {
		if strings.Contains(f, "/1970-01-20/") {
			name = f
		}
	}
	if name == "" {
		t.Fatalf("no block of the day in %v", files)
	}
	f, err := s.FS.OpenReadWrite(name)
	if err != nil {
		t.Fatal(err)
	}
	// Behind the header lie the columns of the chunks.
	if _, err := f.WriteAt([]byte{0xde, 0xad, 0xbe, 0xef}, 100); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	e := query.New(query.Options{})
	q, err := e.NewInstantQuery(t.Context(), s, nil, "count_over_time(dense[60d])", denseEnd)
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	res := q.Exec(t.Context())
	if res.Err != nil {
		t.Fatal(res.Err)
	}
	v := res.Value.(promql.Vector)
	if len(v) != 1 || v[0].F >= denseSamples || v[0].F < denseSamples-2*1440 {
		t.Errorf("got %v of %d samples", v, denseSamples)
	}
	warnings, _ := res.Warnings.AsStrings("", 10, 10)
	if len(warnings) != 1 || !strings.Contains(warnings[0], path.Base(name)) {
		t.Errorf("warnings: %q", warnings)
	}
}
