package query_test

import (
	"path"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promstorage "github.com/prometheus/prometheus/storage"

	"tsdb/internal/doctortest"
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
	doctortest.Damages(t, "a block is damaged and stays")
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

// Damage that comes to light while answers are kept takes them out of use: the
// query warns, though no step of it reads the damaged samples.
func TestDamageTakesKeptAnswersOutOfUse(t *testing.T) {
	for _, c := range []struct {
		name        string
		at          int64 // offset in the block, from its end if negative
		quarantined bool
	}{
		{"a chunk is lost", 100, false},          // behind the header lie the columns of the chunks
		{"the block is quarantined", -520, true}, // and before its end indexes,
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newCacheWorld(t, 1, false, 0)
			defer w.close()
			if c.quarantined {
				doctortest.Damages(t, "the block stays where it is, for a repair")
			}
			const day = 24 * 3600_000
			w.clock.Advance(20*24*time.Hour - time.Duration(w.now())*time.Millisecond)
			write := func(name string, ms int64) {
				t.Helper()
				app := w.s.AppenderV2(t.Context())
				if _, err := app.Append(0, labels.FromStrings("__name__", name), 0, ms, float64(ms*7919%1009), nil, nil, promstorage.AOptions{}); err != nil {
					t.Fatal(err)
				}
				if err := app.Commit(); err != nil {
					t.Fatal(err)
				}
			}
			for hour := range int64(20 * 24) {
				write("x", hour*3600_000+60_000)
				write("z", hour*3600_000+60_000)
			}
			for minute := range int64(24 * 60) {
				write("x", 10*day+minute*60_000+1)
			}
			if _, err := w.s.DB.Compact(t.Context()); err != nil {
				t.Fatal(err)
			}
			q := question{text: "x", start: day + 120_000, end: 17*day + 120_000, step: 2 * day}
			w.compare(q)
			w.compare(q)
			if n := countsOfCache(t, w.reg).hits; n != 1 {
				t.Fatalf("%v hits before the damage", n)
			}
			for name, size := range blockFiles(t, w.s.FS, "data/raw") {
				if !strings.Contains(name, "/1970-01-11/") {
					continue
				}
				f, err := w.s.FS.OpenReadWrite(name)
				if err != nil {
					t.Fatal(err)
				}
				at := c.at
				if at < 0 {
					at += size
				}
				if _, err := f.WriteAt([]byte{0xde, 0xad, 0xbe, 0xef}, at); err != nil {
					t.Fatal(err)
				}
				if err := f.Close(); err != nil {
					t.Fatal(err)
				}
			}
			w.s.DB.DropCaches()
			write("z", 10*day+12*3600_000) // to be merged with the block
			if _, err := w.s.DB.Compact(t.Context()); (err != nil) != c.quarantined {
				t.Fatalf("merge: %v", err)
			}
			if plain := w.exec(w.plain, q, nil); plain.Err != nil || len(plain.Warnings) == 0 {
				t.Fatalf("without a cache: %v, %v", plain.Err, plain.Warnings)
			}
			w.compare(q)
			w.compare(q)
			if n := countsOfCache(t, w.reg).hits; n != 1 {
				t.Errorf("%v hits after the damage", n-1)
			}
		})
	}
}
