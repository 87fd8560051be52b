package namestats

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

// Bounds of a Tracker.
const (
	MaxNames     = 1 << 16
	MaxNameBytes = 1 << 10 // longer names are not counted
	nameBytes    = 64      // of memory, besides the name
	MaxBytes     = MaxNames * (MaxNameBytes + nameBytes)
)

// Record says how often and when a metric was asked for.
type Record struct {
	Name     string
	Requests uint64
	Last     int64 // Unix seconds of the last request; 0 = none
}

// Tracker counts requests by metric. It is safe for concurrent use.
type Tracker struct {
	clock vfs.Clock

	mu      sync.Mutex
	table   table
	bytes   int64 // of the names
	changed bool  // since the last Save
}

// New returns an empty Tracker.
func New(clock vfs.Clock) *Tracker {
	return &Tracker{clock: clock, table: table{since: clock.Now().Unix(), names: map[string]count{}}}
}

// Count counts a request for a metric. A metric for which there is no room is not
// counted.
func (t *Tracker) Count(name string) {
	now := t.clock.Now().Unix()
	t.mu.Lock()
	defer t.mu.Unlock()
	c, known := t.table.names[name]
	if !known {
		if len(t.table.names) == MaxNames || len(name) > MaxNameBytes {
			return
		}
		name = strings.Clone(name)
		t.bytes += int64(len(name)) + nameBytes
	}
	t.table.names[name] = count{c.requests + 1, max(c.last, now)}
	t.changed = true
}

// Reset forgets all counts.
func (t *Tracker) Reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.table = table{since: t.clock.Now().Unix(), names: map[string]count{}}
	t.bytes, t.changed = 0, true
}

// Since returns when counting began, in Unix seconds, and the memory in use.
func (t *Tracker) Since() (seconds, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.table.since, t.bytes
}

// Records returns the records of the given metrics and of all that were asked for, those
// with the fewest requests first, then by name.
func (t *Tracker) Records(names []string) []Record {
	t.mu.Lock()
	all := make([]Record, 0, len(t.table.names)+len(names))
	for name, c := range t.table.names {
		all = append(all, Record{name, c.requests, c.last})
	}
	for _, name := range names {
		if _, counted := t.table.names[name]; !counted {
			all = append(all, Record{Name: name})
		}
	}
	t.mu.Unlock()
	slices.SortFunc(all, func(a, b Record) int { return cmp.Or(cmp.Compare(a.Requests, b.Requests), cmp.Compare(a.Name, b.Name)) })
	return all
}

// Load takes the counts of a data directory. Without a file it changes nothing.
func (t *Tracker) Load(files vfs.FS, dir string) error {
	b, err := vfs.ReadFile(files, path.Join(dir, format.QueriedName), admit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	loaded, err := decodeTable(b)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.table, t.bytes, t.changed = loaded, 0, false
	for name := range loaded.names {
		t.bytes += int64(len(name)) + nameBytes
	}
	return nil
}

// Check verifies the file of a data directory, if there is one.
func Check(files vfs.FS, dir string) error { return New(vfs.SystemClock).Load(files, dir) }

// admit refuses a file that cannot be that of the counts.
func admit(size int64) error {
	if size > maxFileLen {
		return format.Corrupt("%s has %d bytes", format.QueriedName, size)
	}
	return nil
}

// Save writes the counts if they have changed: to a temporary file, which replaces the old
// one once it is synced.
func (t *Tracker) Save(files vfs.FS, dir string) (err error) {
	t.mu.Lock()
	if !t.changed {
		t.mu.Unlock()
		return nil
	}
	b := appendTable(nil, t.table)
	t.changed = false
	t.mu.Unlock()
	defer func() {
		if err != nil {
			t.mu.Lock()
			t.changed = true
			t.mu.Unlock()
			err = fmt.Errorf("write %s: %w", format.QueriedName, err)
		}
	}()
	return vfs.ReplaceFile(files, path.Join(dir, format.QueriedName), format.TempSuffix, b)
}
