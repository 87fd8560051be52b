package block

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
	"tsdb/partition/format"
)

func readBlockFile(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(path.Join("data", name))
	must(t, err)
	defer f.Close()
	n, err := f.Size()
	must(t, err)
	data := make([]byte, n)
	if _, err := f.ReadAt(data, 0); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	return data
}

func writeBlockFile(t testing.TB, fs vfs.FS, name string, data []byte) {
	t.Helper()
	full := path.Join("data", name)
	must(t, fs.MkdirAll(path.Dir(full)))
	_ = fs.Remove(full)
	f, err := fs.Create(full)
	must(t, err)
	_, err = f.WriteAt(data, 0)
	must(t, err)
	must(t, f.Close())
}

// mustBeClean fails if Check or ValidateChecksums finds anything.
func mustBeClean(t testing.TB, b *Block) {
	t.Helper()
	must(t, b.ValidateChecksums(context.Background(), func(off int64, what string) { t.Errorf("checksums: @%d: %s", off, what) }))
	must(t, b.Check(context.Background(), func(off int64, what string) { t.Errorf("check: @%d: %s", off, what) }))
}

// smallBlock is a block with everything a block can have, in few bytes.
func smallBlock(level Level) *modelBlock {
	m := &modelBlock{meta: Meta{Key: SpanningKey(level), MinGen: 8, MaxGen: 9}}
	if level > L0 {
		m.meta.Partition = firstDay
		m.meta.Inputs = []string{"l0/000000000008-000000000008.tsb", "l0/000000000009-000000000009.tsb"}
	}
	rnd := rand.New(rand.NewPCG(uint64(level), 2))
	add := func(tenant uint32, n int, fill func(i int, s *model.Samples), pairs ...string) *modelSeries {
		s := modelSeries{tenant: tenant, labels: labels.FromStrings(pairs...)}
		for i := range n {
			fill(i, &s.samples)
		}
		m.series = append(m.series, s)
		return &m.series[len(m.series)-1]
	}
	at := func(i int) int64 { return firstDay + int64(i)*15000 }
	jitter := func(i int) int64 { return at(i) + int64(i*i*7919%30) }
	for host := range 3 {
		name := fmt.Sprintf("host-%d", host)
		s := add(0, 30, func(i int, s *model.Samples) { s.Append(jitter(i+host), 0, float64(i*i%17+host), model.Histogram{}) },
			MetricName, "requests_total", "instance", name, "job", "web")
		if host == 1 {
			s.exemplars = []model.Exemplar{{T: at(3), V: 4, Labels: labels.FromStrings("trace_id", "abc")}, {T: at(5), V: 0.5}}
		}
		add(0, 30, func(i int, s *model.Samples) { s.Append(jitter(i+host), 0, 1, model.Histogram{}) },
			MetricName, "up", "instance", name, "job", "web")
	}
	add(0, 300, func(i int, s *model.Samples) { s.Append(jitter(i), 0, rnd.NormFloat64(), model.Histogram{}) },
		MetricName, "noise", "instance", "host-0")
	add(0, 10, func(i int, s *model.Samples) { s.Append(at(i), at(0)-500, float64(i), model.Histogram{}) },
		MetricName, "started_total", "instance", "host-0")
	add(0, 6, func(i int, s *model.Samples) {
		h := model.Histogram{}
		if i%2 == 0 {
			h.Int = &histogram.Histogram{
				Schema: 1, Count: uint64(3 + i), Sum: 1.5 * float64(i), ZeroThreshold: 0.001, ZeroCount: 1,
				PositiveSpans: []histogram.Span{{Offset: 0, Length: 2}}, PositiveBuckets: []int64{1, int64(i)},
			}
		}
		s.Append(at(i), 0, 0, h)
	}, MetricName, "latency", "instance", "host-0")
	add(4, 3, func(i int, s *model.Samples) { s.Append(at(i), 0, oddFloats[i], model.Histogram{}) },
		MetricName, "up", "instance", "host-0")
	if level == L0 {
		add(0, 4, func(i int, s *model.Samples) {
			s.Append(at(i)+int64(i/2)*model.DayMs, 0, float64(i), model.Histogram{})
		}, MetricName, "spans_days")
	}
	m.sort()
	m.notes = []MetricMetadata{
		{0, "requests_total", model.Metadata{Type: "counter", Help: "Requests."}},
		{4, "up", model.Metadata{Type: "gauge", Unit: "bool", Help: "Is it up?"}},
	}
	return m
}

// richBlock is smallBlock with what later versions of the format have: chunks
// with an aggregate, of noise and of short decimals, and the coders of the full
// tier.
func richBlock(level Level) *modelBlock {
	m := smallBlock(level)
	rnd := rand.New(rand.NewPCG(uint64(level), 3))
	add := func(name string, n int64, v func(i int64) float64) {
		s := modelSeries{labels: labels.FromStrings(MetricName, name, "instance", "host-2")}
		for i := range n {
			s.samples.Append(firstDay+i*15000, 0, v(i), model.Histogram{})
		}
		m.series = append(m.series, s)
	}
	walk := int64(500)
	add("walk_celsius", 1200, func(int64) float64 { walk += rnd.Int64N(300) - 149; return float64(walk) / 10 })
	add("reloads_total", 300, func(i int64) float64 { return float64(i/70 + i/90) })
	add("load", 300, func(i int64) float64 { return math.Sqrt(float64(i / 40)) })
	add("errors_total", 400, func(i int64) float64 { walk += rnd.Int64N(7) * rnd.Int64N(2); return float64(walk) })
	m.sort()
	return m
}

// longBlock is richBlock with a chunk so long that its values can be read from the
// middle on.
func longBlock(level Level) *modelBlock {
	m := richBlock(level)
	rnd := rand.New(rand.NewPCG(uint64(level), 4))
	s := modelSeries{labels: labels.FromStrings(MetricName, "queue_length", "instance", "host-2")}
	length := int64(50)
	for i := range int64(2100) {
		length += rnd.Int64N(3) - 1
		s.samples.Append(firstDay+i*15000, 0, float64(length), model.Histogram{})
	}
	m.series = append(m.series, s)
	m.sort()
	return m
}

// fullBlock is longBlock with generations of series and a footer that repeats state.
func fullBlock(level Level) *modelBlock {
	m := longBlock(level)
	m.repeated.Seed = 0x1234_5678_9abc_def0
	if level == L0 {
		return m
	}
	m.repeated.Floors = map[Tier]int64{Raw: firstDay, Hour: firstDay - 30*model.DayMs}
	m.repeated.Tombstones = [][]byte{[]byte("one"), []byte("two")}
	m.series[2].gen, m.series[3].gen, m.series[7].gen = 8, 8, 12
	return m
}

// ruledBlock is fullBlock with a footer that repeats retention rules too.
func ruledBlock(level Level) *modelBlock {
	m := fullBlock(level)
	if level != L0 {
		m.repeated.Edit, m.repeated.RuleLists = 300, [][]byte{[]byte("three")}
	}
	return m
}

func TestDescribePrintsTheWholeFile(t *testing.T) {
	for _, level := range []Level{L0, L1, L2} {
		t.Run(level.String(), func(t *testing.T) {
			fs := vfs.NewMem()
			describesAll(t, openTest(t, fs, ruledBlock(level).write(t, fs, "data", 1000), nil), level.String())
		})
	}
	for _, tier := range []Tier{Minute, Hour} {
		t.Run(tier.String(), func(t *testing.T) {
			fs := vfs.NewMem()
			describesAll(t, openTest(t, fs, smallRollup(tier).write(t, fs, 1000), nil), tier.String())
		})
	}
}

// describesAll compares the description of a block with a golden file, and checks that
// it, and the statistics, account for every byte.
func describesAll(t *testing.T, b *Block, name string) {
	t.Helper()
	var out bytes.Buffer
	must(t, b.Describe(context.Background(), &out))
	golden(t, "block_"+name+".txt", out.Bytes())

	end := int64(0)
	for line := range strings.Lines(out.String()) {
		var off, n int64
		if c, _ := fmt.Sscanf(line, "%x %d", &off, &n); c < 2 || line[0] == ' ' {
			continue
		}
		if off != end {
			t.Errorf("bytes from %#x to %#x not described", end, off)
		}
		end = off + n
	}
	if size := b.Info().Size; end != size {
		t.Errorf("described up to %d of %d", end, size)
	}
	s, err := b.Stats(context.Background())
	must(t, err)
	if s.Bytes() != b.Info().Size {
		t.Errorf("statistics of %d bytes, the file has %d: %v", s.Bytes(), b.Info().Size, s)
	}
}

// golden compares got with a file in testdata, or rewrites the file.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		must(t, os.MkdirAll("testdata", 0o777))
		must(t, os.WriteFile(file, got, 0o666))
		return
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; -update rewrites it. Got:\n%s", file, got)
	}
}

func TestCheckIsSilentOnAGoodBlock(t *testing.T) {
	rnd := newRand(t)
	for _, level := range []Level{L0, L1, L2} {
		fs := vfs.NewMem()
		m := randomBlock(rnd, level, 300)
		b := openTest(t, fs, m.write(t, fs, "data", 500), nil)
		mustBeClean(t, b)
		s, err := b.Stats(context.Background())
		must(t, err)
		if s.Bytes() != b.Info().Size {
			t.Errorf("statistics of %d bytes, the file has %d", s.Bytes(), b.Info().Size)
		}
		var samples int64
		for _, c := range s.Columns {
			if c.Kind.String() == "timestamps" {
				samples += c.Samples
			}
		}
		if samples != int64(b.Info().Samples) {
			t.Errorf("statistics of %d samples, want %d", samples, b.Info().Samples)
		}
		must(t, b.Describe(context.Background(), io.Discard))
	}
}

func TestABlockBuiltTwiceIsEqual(t *testing.T) {
	rnd := newRand(t)
	for _, level := range []Level{L0, L2} {
		m := randomBlock(rnd, level, 200)
		one, two := vfs.NewMem(), vfs.NewMem()
		info := m.write(t, one, "data", 7)
		if again := m.write(t, two, "data", 100_000); again.Name != info.Name || again.CRC != info.CRC {
			t.Fatalf("built %v, then %v", info, again)
		}
		if !bytes.Equal(readBlockFile(t, one, info.Name), readBlockFile(t, two, info.Name)) {
			t.Fatal("bytes differ")
		}
	}
}

// answers collects everything a block says of itself, and counts what it
// refuses to say.
func answers(b *Block) (all string, refused int) {
	var out strings.Builder
	ctx := context.Background()
	say := func(err error, text string, args ...any) bool {
		if err != nil {
			refused++
			if !errors.Is(err, format.ErrCorrupt) && !errors.Is(err, format.ErrVersion) {
				fmt.Fprintf(&out, "unexpected error %v", err)
			}
			return false
		}
		fmt.Fprintf(&out, text, args...)
		return true
	}
	r := b.Reader()
	defer r.Release()
	var floats Floats
	for ord := range uint32(min(b.Info().Series, 1000)) {
		e, err := b.Series(ord)
		say(err, "%v", e)
		gen, err := b.Generation(ord)
		say(err, "%d", gen)
		floats.Reset()
		ok, err := r.AppendFloats(ctx, ord, model.AllTime, &floats)
		say(err, "%v %d", ok, len(floats.Values))
		var s model.Samples
		err = samplesOf(ctx, b, ord, model.AllTime, &s)
		bits := make([]int64, len(s.V))
		for i, v := range s.V {
			bits[i] = int64(math.Float64bits(v))
		}
		say(err, "%x%x%v%v", keyOfTimes(s.T), keyOfTimes(bits), s.ST, s.H) // hashes: printing takes half the time
		chunks, err := b.Chunks(ord, model.AllTime, nil)
		for _, c := range chunks {
			a, ok := c.Aggregate()
			fmt.Fprintf(&out, "%v %v", a, ok)
		}
		say(err, "%d chunks", len(chunks))
		es, err := b.Exemplars(ord)
		say(err, "%v", es)
	}
	for _, m := range []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchEqual, "instance", "host-0"),
		labels.MustNewMatcher(labels.MatchRegexp, "instance", "host-[12]"),
		labels.MustNewMatcher(labels.MatchEqual, "job", ""),
		labels.MustNewMatcher(labels.MatchNotEqual, MetricName, "up"),
	} {
		for _, tenant := range []uint32{0, 4} {
			bm, err := b.Postings(ctx, tenant, compiled(m))
			say(err, "%v", bm)
			found, err := b.Select(ctx, tenant, compiled(m), nil)
			if err == nil && len(found.Lost) > 0 {
				err = found.Lost[0]
			}
			if say(err, "selection") {
				ls, err := found.Labels(ctx, nil)
				if ls == nil {
					ls = new(LabelSets)
				}
				say(err, "%v%v%v", found.Ordinals, found.IDs, ls.All)
			}
		}
	}
	names, err := b.LabelNames(ctx, nil)
	if say(err, "%v", names) {
		for _, n := range names {
			vs, err := b.LabelValues(ctx, n, nil, 0)
			say(err, "%v", vs)
		}
	}
	ms, err := b.Metadata()
	say(err, "%v", ms)
	return out.String(), refused
}

// One bit in every byte of a small block of each level is changed. The block
// must then say the same as before or refuse, and Check must notice.
func TestAChangedByteIsNoticed(t *testing.T) {
	for _, level := range []Level{L0, L1, L2} {
		t.Run(level.String(), func(t *testing.T) {
			t.Parallel()
			fs := vfs.NewMem()
			info := fullBlock(level).write(t, fs, "data", 1000)
			b := openTest(t, fs, info, nil)
			want, refused := answers(b)
			if refused > 0 {
				t.Fatalf("%d refusals of a good block", refused)
			}
			data := readBlockFile(t, fs, info.Name)
			for off := range data {
				flip := byte(1) << (off % 8)
				data[off] ^= flip
				checkDamaged(t, info.Name, data, off, want)
				data[off] ^= flip
			}
		})
	}
}

func checkDamaged(t *testing.T, name string, data []byte, off int, want string) {
	t.Helper()
	fs := vfs.NewMem()
	writeBlockFile(t, fs, name, data)
	b, err := Open(objstore.NewDir(fs, "data"), name, nil)
	if err != nil {
		t.Fatalf("byte %d: a single byte makes the block disappear: %v", off, err)
	}
	defer b.Close()
	got, refused := answers(b)
	if refused == 0 && got != want {
		t.Fatalf("byte %d: answers differ without an error:\n%s\n%s", off, got, want)
	}
	if strings.Contains(got, "unexpected error") {
		t.Fatalf("byte %d: %s", off, got)
	}
	noticed := 0
	must(t, b.Check(context.Background(), func(int64, string) { noticed++ }))
	sums := 0
	must(t, b.ValidateChecksums(context.Background(), func(int64, string) { sums++ }))
	if noticed == 0 || sums == 0 {
		t.Fatalf("byte %d: check notices %d damages, checksums %d", off, noticed, sums)
	}
	if off%8 == 0 {
		must(t, b.Describe(context.Background(), io.Discard))
		_, _ = b.Stats(context.Background()) // must not panic
	}
}

// A damaged column costs the chunks that need it, and nothing else.
func TestADamagedColumnCostsItsChunkOnly(t *testing.T) {
	fs := vfs.NewMem()
	m := &modelBlock{meta: Meta{Key: Key{Partition: firstDay, Level: L1}, MinGen: 1, MaxGen: 2}}
	for k := range 3 {
		s := modelSeries{labels: labels.FromStrings(MetricName, "m", "k", fmt.Sprint(k))}
		rnd := rand.New(rand.NewPCG(1, uint64(k)))
		for i := range 20_000 { // several windows
			s.samples.Append(firstDay+int64(i)*4000+rnd.Int64N(100), 0, rnd.NormFloat64(), model.Histogram{})
		}
		m.series = append(m.series, s)
	}
	info := m.write(t, fs, "data", 1<<20)
	b := openTest(t, fs, info, nil)
	chunks, err := b.Chunks(1, model.AllTime, nil)
	must(t, err)
	if len(chunks) != 4 {
		t.Fatalf("%d chunks, want 4", len(chunks))
	}
	c := chunks[2]
	data := readBlockFile(t, fs, info.Name)
	w := c.page.rows[c.row]
	data[c.page.frames[streamValues][w.value.frame].off+100] ^= 4
	writeBlockFile(t, fs, info.Name, data)

	bad := openTest(t, fs, info, nil)
	for k := range m.series {
		var got, want model.Samples
		all := &m.series[k].samples
		err := samplesOf(context.Background(), bad, uint32(k), model.AllTime, &got)
		var d *format.DamageError
		switch {
		case k != 1:
			must(t, err)
			want = *all
		case !errors.As(err, &d) || !errors.Is(err, format.ErrCorrupt) || d.Path != info.Name || d.Offset == 0:
			t.Fatalf("error %v, want damage", err)
		default:
			want.AppendRange(all, 0, all.Search(c.MinTime))
			want.AppendRange(all, all.Search(c.MaxTime+1), all.Len())
		}
		if diff := diffSamples(&got, &want); diff != "" {
			t.Fatalf("series %d: %s", k, diff)
		}
	}
	// Outside of the chunk nothing is wrong.
	var got model.Samples
	must(t, samplesOf(context.Background(), bad, 1, model.TimeRange{Min: math.MinInt64, Max: c.MinTime}, &got))
}

func TestATruncatedBlockIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	info := smallBlock(L0).write(t, fs, "data", 1000)
	data := readBlockFile(t, fs, info.Name)
	for n := range data {
		fs := vfs.NewMem()
		writeBlockFile(t, fs, info.Name, data[:n])
		b, err := Open(objstore.NewDir(fs, "data"), info.Name, nil)
		if err == nil {
			// The first copy of the tail is whole: nothing is missing.
			if n < len(data)-int(info.FooterLen) {
				t.Fatalf("a block of %d of %d bytes opens", n, len(data))
			}
			must(t, b.Close())
			continue
		}
		if !errors.Is(err, format.ErrCorrupt) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}

// countFS counts the bytes read from its files.
type countFS struct {
	vfs.FS
	read, calls atomic.Int64
	off, end    int64        // of the range that is watched
	watched     atomic.Int64 // bytes read in it
}

func (c *countFS) watch(off, n int64) {
	c.off, c.end = off, off+n
	c.watched.Store(0)
}

func (c *countFS) Open(name string) (vfs.File, error) {
	f, err := c.FS.Open(name)
	return countFile{f, c}, err
}

type countFile struct {
	vfs.File
	fs *countFS
}

func (f countFile) ReadAt(b []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(b, off)
	f.fs.read.Add(int64(n))
	f.fs.calls.Add(1)
	f.fs.watched.Add(max(0, min(off+int64(n), f.fs.end)-max(off, f.fs.off)))
	return n, err
}

func TestOpenReadsABoundedAmount(t *testing.T) {
	rnd := newRand(t)
	for _, n := range []int{1, 100, 3000} {
		fs := &countFS{FS: vfs.NewMem()}
		info := randomBlock(rnd, L0, n).write(t, fs.FS, "data", 1000)
		openTest(t, fs, info, nil)
		if got := fs.read.Load(); got > tailGuess || fs.calls.Load() != 1 {
			t.Errorf("opening a block of %d bytes reads %d bytes in %d calls", info.Size, got, fs.calls.Load())
		}
	}
}

func TestATailThatIsLongIsRead(t *testing.T) {
	m := smallBlock(L2)
	for k := range 1000 {
		m.meta.Inputs = append(m.meta.Inputs, fmt.Sprintf("l0/%d.tsb", k))
	}
	fs := vfs.NewMem()
	info := m.write(t, fs, "data", 100)
	if info.FooterLen < 2*tailGuess {
		t.Fatalf("a tail of %d bytes is not long", info.FooterLen)
	}
	m.check(t, openTest(t, fs, info, nil))
	data := readBlockFile(t, fs, info.Name)
	for _, off := range []int{1, 20, trailerLen + 5, int(info.FooterLen) - 1} { // from the end
		data[len(data)-off] ^= 1
		writeBlockFile(t, fs, info.Name, data)
		m.check(t, openTest(t, fs, info, nil))
		data[len(data)-off] ^= 1
	}
}

func TestABlockIsReadByManyAtOnce(t *testing.T) {
	rnd := newRand(t)
	m := randomBlock(rnd, L1, 200)
	fs := vfs.NewMem()
	info := m.write(t, fs, "data", 1000)
	for _, size := range []int64{1 << 12, 1 << 24} {
		c, err := NewCache(size)
		must(t, err)
		b := openTest(t, fs, info, c)
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for k := range m.series {
					ord := uint32((k*7 + g*13) % len(m.series))
					var got model.Samples
					if err := samplesOf(context.Background(), b, ord, model.AllTime, &got); err != nil {
						t.Error(err)
					}
					if d := diffSamples(&got, &m.series[ord].samples); d != "" {
						t.Errorf("series %d: %s", ord, d)
					}
					e, err := b.Series(ord)
					if err != nil || !labels.Equal(e.Labels, m.series[ord].labels) {
						t.Errorf("series %d: %v %v", ord, e, err)
					}
					ms := labels.MustNewMatcher(labels.MatchRegexp, "instance", "host-.*")
					if _, err := b.Postings(context.Background(), 0, compiled(ms)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		c.Close()
	}
}
