package wal

import (
	"context"
	"fmt"
	"math/rand"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"tsdb/internal/vfs"
	"tsdb/storage/log"
)

// cpuTime returns the processor time the process has used, which other load on
// the machine does not change.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func perRow(b *testing.B, start time.Duration, rows int) float64 {
	return float64((cpuTime() - start).Nanoseconds()) / float64(b.N*rows)
}

func sampleRows(n int) (slots []uint32, ts []int64, vs []float64) {
	rng := rand.New(rand.NewSource(1))
	at := int64(1_700_000_000_000)
	for i := range n {
		if i%500 == 0 {
			at += rng.Int63n(15000) // the next target's scrape
		}
		slots = append(slots, uint32(i))
		ts = append(ts, at)
		vs = append(vs, rng.Float64())
	}
	return slots, ts, vs
}

// benchPayload is what one shard gets of a request of 2,000 samples.
func benchPayload() []byte {
	slots, ts, vs := sampleRows(125)
	return log.AppendSamples(nil, slots, ts, vs, nil)
}

// BenchmarkCommit measures requests of 2,000 samples in 16 shards, durable on
// the machine's disk before they count. SetBytes counts samples.
func BenchmarkCommit(b *testing.B) {
	for _, mode := range []Mode{Always, Off} {
		for _, writers := range []int{1, 8, 32} {
			b.Run(fmt.Sprintf("sync=%v/writers=%d", mode, writers), func(b *testing.B) {
				dir := filepath.ToSlash(b.TempDir())
				l, err := Open(vfs.OS, dir+"/wal", Options{Sync: mode}, log.Pos{}, nil)
				if err != nil {
					b.Fatal(err)
				}
				defer l.Close()
				payload := benchPayload()
				need := 16 * log.FrameBytes(len(payload))
				var left atomic.Int64
				left.Store(int64(b.N))
				b.SetBytes(2000)
				start := cpuTime()
				b.ResetTimer()
				var wg sync.WaitGroup
				for range writers {
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							if err := l.Reserve(context.Background(), need); err != nil {
								b.Error(err)
								return
							}
							lsn := uint64(0)
							for shard := range 16 {
								lsn = l.Append(shard, 0, log.FrameSamples, payload)
							}
							if err := l.Wait(context.Background(), lsn); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
				b.StopTimer()
				b.ReportMetric(perRow(b, start, 2000), "cpu-ns/sample")
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "commits/s")
			})
		}
	}
}

// BenchmarkReplay measures scan and replay of a log on the machine's disk, in
// the page cache, with the samples decoded. SetBytes counts bytes.
func BenchmarkReplay(b *testing.B) {
	const logBytes = 512 << 20
	dir := filepath.ToSlash(b.TempDir()) + "/wal"
	l, err := Open(vfs.OS, dir, Options{Sync: Off}, log.Pos{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	payload := benchPayload()
	need := 16 * log.FrameBytes(len(payload))
	for n := 0; n < logBytes; n += need {
		for l.Reserve(context.Background(), need) != nil {
		}
		for shard := range 16 {
			l.Append(shard, 0, log.FrameSamples, payload)
		}
		if err := l.Wait(context.Background(), l.LastLSN()); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	b.Run("scan", func(b *testing.B) {
		b.SetBytes(logBytes)
		start := cpuTime()
		for b.Loop() {
			r, err := Scan(vfs.OS, dir, Options{})
			if err != nil || r.Report().Damages > 0 {
				b.Fatal(err, r.Report())
			}
		}
		b.ReportMetric(float64((cpuTime()-start).Milliseconds())/float64(b.N), "cpu-ms")
	})
	for _, workers := range []int{1, 2, 4} {
		b.Run(fmt.Sprintf("replay/workers=%d", workers), func(b *testing.B) {
			r, err := Scan(vfs.OS, dir, Options{})
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(logBytes)
			start := cpuTime()
			for b.Loop() {
				var cols [16]log.SampleColumns
				err := r.Replay(context.Background(), r.Generations()[0], workers, func(shard int, f log.Frame) error {
					return log.DecodeSamples(f.Payload, &cols[shard])
				})
				if err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64((cpuTime()-start).Milliseconds())/float64(b.N), "cpu-ms")
		})
	}
}
