package objstore

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"tsdb/internal/vfs"
)

// BenchmarkWrite writes an object of 64 MiB in writes of 64 KiB, syncs included.
func BenchmarkWrite(b *testing.B) {
	const size, step = 64 << 20, 64 << 10
	d := NewDir(vfs.OS, filepath.ToSlash(b.TempDir()))
	data := make([]byte, step)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		w, err := d.Create(b.Context(), "l0/a.tsb")
		if err != nil {
			b.Fatal(err)
		}
		for range size / step {
			if _, err := w.Write(data); err != nil {
				b.Fatal(err)
			}
		}
		if _, err := w.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
		if errs := d.Delete(b.Context(), "l0/a.tsb"); errs != nil {
			b.Fatal(errs)
		}
	}
}

// BenchmarkReadRanges reads 256 ranges of 512 bytes, as those of short columns,
// that lie apart, from the page cache (warm) and from the disk (cold). It is the
// reason for dirCosts: joined reads the gaps, parallel joins nothing and reads
// with four goroutines, alone joins nothing and uses one, shipped is dirCosts.
func BenchmarkReadRanges(b *testing.B) {
	const count, length = 256, 512
	name := filepath.Join(b.TempDir(), "a.tsb")
	if err := os.WriteFile(name, make([]byte, count*(length+64<<10)), 0o600); err != nil {
		b.Fatal(err)
	}
	raw, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer raw.Close()
	if err := raw.Sync(); err != nil {
		b.Fatal(err)
	}
	object, err := OpenFile(vfs.OS, filepath.ToSlash(name))
	if err != nil {
		b.Fatal(err)
	}
	defer object.Close()
	for _, gap := range []int64{1 << 10, 4 << 10, 8 << 10, 16 << 10, 64 << 10} {
		for _, c := range []struct {
			name  string
			costs Costs
		}{
			{"alone", Costs{Gap: -1, Parallel: 1}},
			{"parallel", Costs{Gap: -1, Parallel: 4}},
			{"joined", Costs{Gap: gap, MaxSpan: 256 << 10, Parallel: 1}},
			{"shipped", dirCosts},
		} {
			for _, cold := range []bool{false, true} {
				b.Run(fmt.Sprintf("gap=%d/%s/cold=%v", gap, c.name, cold), func(b *testing.B) {
					ranges := make([]Range, count)
					for i := range ranges {
						ranges[i] = Range{Offset: int64(i) * (length + gap), Data: make([]byte, length)}
					}
					b.ReportAllocs()
					for b.Loop() {
						if cold {
							b.StopTimer()
							if err := unix.Fadvise(int(raw.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
								b.Fatal(err)
							}
							b.StartTimer()
						}
						if err := c.costs.ReadRanges(b.Context(), object.ReadAt, ranges); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		}
	}
}
