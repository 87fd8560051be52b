package head

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// fleetLabels returns the labels of a series of a fleet: 500 series per target, 11
// labels each.
func fleetLabels(i int) labels.Labels {
	target, k := i/500, i%500
	return labels.FromStrings(
		"__name__", fmt.Sprintf("node_metric_number_%d_total", k/4),
		"cluster", "prod-eu-west-1",
		"cpu", fmt.Sprint(k%4),
		"datacenter", fmt.Sprintf("dc-%d", target%7),
		"device", fmt.Sprintf("nvme%dn1", k%13),
		"env", "production",
		"instance", fmt.Sprintf("node-%05d.example.com:9100", target),
		"job", "node_exporter",
		"mode", []string{"idle", "user", "system", "iowait"}[k%4],
		"rack", fmt.Sprintf("r%03d", target%100),
		"team", fmt.Sprintf("team-%d", target%20),
	)
}

func fleet(b testing.TB, n int) (*Head, []model.Ref) {
	h := New(Options{})
	refs := make([]model.Ref, n)
	for i := range refs {
		refs[i], _ = h.Resolve(0, fleetLabels(i))
	}
	return h, refs
}

// batches are the refs of a fleet in the order of scrapes, in slices of one request
// each, sorted by shard like a batch.
type shardBatch struct {
	refs  []model.Ref
	slots []uint32
	ts    []int64
	vs    []float64
}

func batches(refs []model.Ref, n int) [][model.Shards]shardBatch {
	var ps [][model.Shards]shardBatch
	for i := 0; i < len(refs); i += n {
		var p [model.Shards]shardBatch
		for _, ref := range refs[i:min(i+n, len(refs))] {
			s := &p[ref.Shard()]
			s.refs = append(s.refs, ref)
			s.slots = append(s.slots, ref.Slot())
			s.ts = append(s.ts, 0)
			s.vs = append(s.vs, 0)
		}
		ps = append(ps, p)
	}
	return ps
}

// scrape writes one sample to every series. Times jitter by a few milliseconds,
// half of the series are constant, the others counters of integers.
func scrape(h *Head, buf *Buffer, ps [][model.Shards]shardBatch, round int, r *rand.Rand, undefined []uint32) []uint32 {
	for i := range ps {
		t := int64(1_700_000_000_000) + int64(round)*15_000 + int64(r.IntN(6))
		for k := range ps[i] {
			p := &ps[i][k]
			for j := range p.ts {
				p.ts[j] = t
				if p.slots[j]&1 == 0 {
					p.vs[j] = float64(uint32(round)*(p.slots[j]&1023) + uint32(r.IntN(16)))
				}
			}
			s := h.Shard(k)
			s.Lock()
			undefined, _ = s.CheckLocked(buf.Generation(), p.refs, undefined[:0])
			s.MarkDefinedLocked(buf.Generation(), undefined)
			s.AppendFloatsLocked(buf, p.slots, p.ts, p.vs, nil)
			s.Unlock()
		}
	}
	return undefined
}

// cpu returns the CPU time of the process so far: on a shared machine, wall time
// means little.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// reportCPU reports the CPU time since began, divided by b.N × n.
func reportCPU(b *testing.B, began time.Duration, n int, unit string) {
	b.ReportMetric(float64((cpu()-began).Nanoseconds())/float64(b.N)/float64(n), "cpu-ns/"+unit)
}

func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func heapObjects() int64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapObjects)
}

// One operation is a scrape of all series; a buffer holds 240 scrapes, an hour.
func BenchmarkAppend(b *testing.B) {
	for _, c := range []struct {
		n     int
		order string
	}{{10_000, "scrape"}, {100_000, "scrape"}, {1_000_000, "scrape"}, {1_000_000, "shuffled"}} {
		n := c.n
		b.Run(fmt.Sprintf("series=%d/order=%s", n, c.order), func(b *testing.B) {
			before, objects := heapBytes(), heapObjects()
			h, refs := fleet(b, n)
			tables, tableObjects := heapBytes()-before-int64(n)*8, heapObjects()-objects
			r := rand.New(rand.NewPCG(1, 2))
			if c.order == "shuffled" { // the worst case, which no sender produces: every cache line is cold
				r.Shuffle(n, func(i, j int) { refs[i], refs[j] = refs[j], refs[i] })
			}
			ps := batches(refs, 8192)
			buf := h.NewBuffer(1)
			round := 0
			var undefined []uint32
			b.SetBytes(int64(n)) // MB/s reads as million samples a second
			b.ReportAllocs()
			began := cpu()
			for b.Loop() {
				undefined = scrape(h, buf, ps, round, r, undefined)
				if round++; round%240 == 0 {
					buf.Release()
					buf = h.NewBuffer(uint64(round/240) + 1)
				}
			}
			reportCPU(b, began, n, "sample")
			b.ReportMetric(float64(tables)/float64(n), "tableB/series")
			b.ReportMetric(float64(tableObjects), "tableObjects")
			st := buf.Stats()
			b.ReportMetric(float64(st.Bytes)/float64(max(1, st.Samples)), "B/sample")
			b.ReportMetric(float64(st.Bytes)/float64(n), "bufferB/series")
		})
	}
}

// One operation is a batch of 512 samples to one shard, with warm caches.
func BenchmarkAppendHot(b *testing.B) {
	for name, step := range map[string]float64{"constant": 0, "counter": 37} {
		b.Run("values="+name, func(b *testing.B) {
			h, refs := fleet(b, 16*600)
			var slots []uint32
			for _, ref := range refs {
				if ref.Shard() == 0 && len(slots) < 512 {
					slots = append(slots, ref.Slot())
				}
			}
			n := len(slots)
			s, buf := h.Shard(0), h.NewBuffer(1)
			ts, vs := make([]int64, n), make([]float64, n)
			b.SetBytes(int64(n))
			b.ReportAllocs()
			round := int64(0)
			began := cpu()
			for b.Loop() {
				for i := range ts {
					ts[i] = 1_700_000_000_000 + round*15_000 + int64(i&3)*(round&1)
					vs[i] += step
				}
				s.AppendFloatsLocked(buf, slots, ts, vs, nil)
				if round++; round%1000 == 0 {
					buf.Release()
					buf = h.NewBuffer(1)
				}
			}
			reportCPU(b, began, n, "sample")
		})
	}
}

func BenchmarkResolve(b *testing.B) {
	const n = 1_000_000
	ls := make([]labels.Labels, n)
	for i := range ls {
		ls[i] = fleetLabels(i)
	}
	b.Run("new", func(b *testing.B) {
		b.ReportAllocs()
		h := New(Options{})
		i := 0
		began := cpu()
		for b.Loop() {
			h.Resolve(0, ls[i])
			if i++; i == n {
				h, i = New(Options{}), 0
			}
		}
		reportCPU(b, began, 1, "op")
	})
	b.Run("known", func(b *testing.B) {
		h := New(Options{})
		for _, l := range ls {
			h.Resolve(0, l)
		}
		b.ReportAllocs()
		i := 0
		began := cpu()
		for b.Loop() {
			h.Resolve(0, ls[i*7919%n])
			i++
		}
		reportCPU(b, began, 1, "op")
	})
}

// BenchmarkAliases looks aliases up in the order in which they were made, as most senders
// do, in that of two senders which made theirs at the same time, and in orders that
// do not repeat.
func BenchmarkAliases(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		for _, order := range []string{"same", "two", "random"} {
			b.Run(fmt.Sprintf("aliases=%d/order=%s", n, order), func(b *testing.B) {
				h := New(Options{})
				r := rand.New(rand.NewPCG(1, 2))
				hashes := make([]model.Hash, n)
				for i := range hashes {
					hashes[i] = model.Hash{Hi: r.Uint64(), Lo: r.Uint64()}
					h.SetAlias(hashes[i], RefRefused)
				}
				switch order {
				case "two":
					var senders [2][]model.Hash
					for _, a := range hashes {
						k := r.IntN(2)
						senders[k] = append(senders[k], a)
					}
					hashes = append(senders[0], senders[1]...)
				case "random":
					for range 4 * n {
						hashes = append(hashes, hashes[r.IntN(n)])
					}
					hashes = hashes[n:]
				}
				refs := make([]model.Ref, 2000)
				i := 0
				lookup := func() {
					h.Aliases(hashes[i:i+2000], refs)
					if i += 2000; i+2000 > len(hashes) {
						i = 0
					}
				}
				for range n / 2000 {
					lookup()
				}
				b.SetBytes(2000)
				began := cpu()
				for b.Loop() {
					lookup()
				}
				st := h.Stats()
				reportCPU(b, began, 2000, "lookup")
				_, bytes := h.aliases.stats()
				b.ReportMetric(float64(bytes)/float64(st.Aliases), "B/alias")
			})
		}
	}
}

func BenchmarkSelect(b *testing.B) {
	h, _ := fleet(b, 1_000_000)
	for name, ms := range map[string][]*labels.Matcher{
		"metric":        {labels.MustNewMatcher(labels.MatchEqual, "__name__", "node_metric_number_7_total")},
		"metric-target": {labels.MustNewMatcher(labels.MatchEqual, "__name__", "node_metric_number_7_total"), labels.MustNewMatcher(labels.MatchEqual, "instance", "node-00077.example.com:9100")},
		"metric-regex":  {labels.MustNewMatcher(labels.MatchEqual, "__name__", "node_metric_number_7_total"), labels.MustNewMatcher(labels.MatchRegexp, "instance", "node-0[0-9]+[13]7.*")},
		"target-not":    {labels.MustNewMatcher(labels.MatchEqual, "instance", "node-00077.example.com:9100"), labels.MustNewMatcher(labels.MatchNotEqual, "mode", "idle")},
		"job":           {labels.MustNewMatcher(labels.MatchEqual, "job", "node_exporter")},
	} {
		b.Run("matchers="+name, func(b *testing.B) {
			b.ReportAllocs()
			began := cpu()
			defer func() { reportCPU(b, began, 1, "op") }()
			for b.Loop() {
				if refs, err := h.Select(context.Background(), 0, compiled(ms...), model.AllTime); err != nil || len(refs) == 0 {
					b.Fatal(len(refs), err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	h, refs := fleet(b, 10_000)
	buf := h.NewBuffer(1)
	ps := batches(refs, 8192)
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 240 {
		scrape(h, buf, ps, round, r, nil)
	}
	var dst model.Samples
	i := 0
	b.SetBytes(240)
	b.ReportAllocs()
	began := cpu()
	for b.Loop() {
		dst.Reset()
		buf.Samples(refs[i%len(refs)], model.AllTime, &dst)
		i++
	}
	reportCPU(b, began, 240, "sample")
}

func BenchmarkSorted(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("series=%d/first", n), func(b *testing.B) {
			h, refs := fleet(b, n)
			buf := h.NewBuffer(1)
			scrape(h, buf, batches(refs, 8192), 1, rand.New(rand.NewPCG(1, 2)), nil)
			b.ReportAllocs()
			began := cpu()
			defer func() { reportCPU(b, began, n, "series") }()
			for b.Loop() {
				h.order.refs = nil
				for i := range h.shards {
					h.shards[i].fresh = nil
				}
				for _, ref := range refs {
					s := h.Shard(ref.Shard())
					s.fresh = append(s.fresh, ref)
				}
				h.Sorted(buf)
			}
		})
		b.Run(fmt.Sprintf("series=%d/again", n), func(b *testing.B) {
			h, refs := fleet(b, n)
			buf := h.NewBuffer(1)
			scrape(h, buf, batches(refs, 8192), 1, rand.New(rand.NewPCG(1, 2)), nil)
			h.Sorted(buf)
			b.ReportAllocs()
			began := cpu()
			defer func() { reportCPU(b, began, n, "series") }()
			for b.Loop() {
				h.Sorted(buf)
			}
		})
	}
}
