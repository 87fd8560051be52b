package block

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"github.com/RoaringBitmap/roaring/v2"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/partition/format"
)

// Every decoder of the block file gets bytes that are anything. It must not
// panic nor take more memory than the input warrants, and what it accepts must
// be written back to something that it reads as the same.

var fuzzNames = []nameEntry{{name: "a", values: 3}, {name: "b", values: 1000}, {name: "c", values: 1 << 20}}

func FuzzDirectoryPage(f *testing.F) {
	d := directoryPage{
		frames: [streams][]frame{
			{{off: 16, stored: 2000, crc: 1}, {off: 2016, stored: 700, raw: 60_000, crc: 2}},
			{{off: 2716, stored: 500, crc: 3}},
		},
		inline: [streams][]byte{[]byte("const"), []byte("times")},
		times: []timeColumn{
			{columnRef{0, 0, 500}, 300, 1000, 200_000}, {columnRef{inlineFrame, 0, 5}, 2, -5, 5}, {columnRef{}, 7, 0, 6},
			{columnRef{}, 1 << 20, 1, 1 << 27},
		},
		rows: []row{
			{ord: 3, time: 0, flags: rowAggregate, value: columnRef{0, 0, 2000}}, {ord: 3, time: 1, flags: flagsOf(KindHistograms), value: columnRef{1, 0, 100}},
			{ord: 4, time: 1, flags: rowStarts | 3<<rowRungShift, value: columnRef{1, 100, 59_900}, starts: columnRef{inlineFrame, 0, 5}},
			{ord: 9, time: 2, flags: rowBad},
			{ord: 10, time: 0, flags: flagsOf(KindBuckets), value: columnRef{inlineFrame, 0, 5}},
			{ord: 10, time: 3, flags: flagsOf(KindStandIn)},
		},
		aggregates: aggregateList{list: []Aggregate{{Min: -2.5, Max: 1 << 40, Sum: 1e300, Comp: 1e-9}}},
	}
	f.Add(d.append(nil))
	f.Add(d.aggregates.append(d.appendChunks(nil))) // of an older block, but for the flags
	f.Fuzz(func(t *testing.T, b []byte) {
		for version := uint32(1); version <= blockVersion; version++ {
			var d, again directoryPage
			if d.decode(b, 1<<40, version) != nil {
				continue
			}
			as, err := d.aggregates.all()
			if err != nil {
				continue
			}
			d.aggregates = aggregateList{list: as}
			must(t, again.decode(d.append(nil), 1<<40, blockVersion))
			sameAs, err := again.aggregates.all()
			must(t, err)
			again.aggregates = aggregateList{list: sameAs}
			if !slices.Equal(d.rows, again.rows) || !slices.Equal(d.times, again.times) ||
				!slices.EqualFunc(as, sameAs, sameAggregate) || !bytes.Equal(d.append(nil), again.append(nil)) {
				t.Fatalf("%+v, then %+v", &d, &again)
			}
			for _, w := range d.rows {
				if version < versionRollups && !w.flags.kind().fits(Raw) {
					t.Fatalf("chunk of %v in version %d", w.flags.kind(), version)
				}
				if w.flags.hasColumns() {
					if w.value.frame == inlineFrame {
						_ = d.inline[streamValues][w.value.start:][:w.value.length]
					} else if f := d.frames[streamValues][w.value.frame]; w.value.start+w.value.length > f.size() {
						t.Fatalf("column %v out of frame %v", w.value, f)
					}
				}
			}
		}
	})
}

func FuzzTail(f *testing.F) {
	sections := []section{{sectionNames, encodingZstd, 100, 20, 7}, {sectionSeries, encodingPages, 120, 0, 0}}
	merged := footer{
		meta:   Meta{Key: Key{Partition: firstDay, Level: L1}, MinGen: 1, MaxGen: 9, Inputs: []string{"x", "y"}, Ordinal: 2},
		series: 10, samples: 100, chunks: 11, minTime: firstDay, maxTime: firstDay + 5, sections: sections,
		repeated: Repeated{Seed: 7, Floors: map[Tier]int64{Raw: firstDay, Hour: 1}, Tombstones: [][]byte{{1}, {2, 3}}, LeftOut: true,
			Edit: 12, RuleLists: [][]byte{{4, 5}, {6}}, RulesLeftOut: true},
	}
	rollup := footer{
		meta: Meta{Key: Key{Tier: Minute, Partition: firstDay, Level: L2}, MinGen: 1, MaxGen: 9, Days: 8,
			Sources: []string{"raw/x", "raw/y"}, Tombstone: 4},
		series: 10, samples: 100, chunks: 11, minTime: firstDay, maxTime: firstDay + 5, sections: sections,
	}
	f.Add(appendTail(nil, &merged))
	f.Add(appendTail(nil, &rollup))
	f.Fuzz(func(t *testing.T, b []byte) {
		foot, err := decodeTail(b, 1<<30)
		if err != nil {
			// Past the checksum, too.
			for version := uint32(1); version <= blockVersion; version++ {
				f := footer{version: version}
				_ = f.decodeTable(b, 1<<30)
				_ = f.decodeFooter(b)
			}
			return
		}
		again, err := decodeTail(appendTail(nil, foot), 1<<30)
		must(t, err)
		if again.version = foot.version; !reflect.DeepEqual(foot, again) {
			t.Fatalf("%+v, then %+v", foot, again)
		}
	})
}

func FuzzFences(f *testing.F) {
	ps := []page{{first: 0, off: 16, stored: 10, raw: 20, crc: 1}, {first: 5, off: 26, stored: 3, crc: 9}}
	f.Add(appendFences(nil, ps))
	nf := nameFences{dictionary: ps[:1], firsts: []string{"a"}, postings: ps}
	f.Add(nf.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := format.Reader{B: b}
		ps := readFences(&r, 1<<40)
		if r.End("") == nil {
			r = format.Reader{B: appendFences(nil, ps)}
			if again := readFences(&r, 1<<40); r.End("") != nil || !slices.Equal(ps, again) {
				t.Fatalf("%v, then %v", ps, again)
			}
		}
		if nf, err := decodeNameFences(b, 100, 1<<40); err == nil {
			if _, err := decodeNameFences(nf.append(nil), 100, 1<<40); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func FuzzDictionaryPage(f *testing.F) {
	page, _ := appendDictionaryPage(nil, []string{"a", "ab", "abc", "b", "host-1", "host-10", "host-2"})
	f.Add(page)
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := decodeDictionaryPage(b)
		if err != nil || len(values) == 0 {
			return
		}
		var again []string
		for rest := values; len(rest) > 0; {
			page, n := appendDictionaryPage(nil, rest)
			part, err := decodeDictionaryPage(page)
			must(t, err)
			again, rest = append(again, part...), rest[n:]
		}
		if !slices.Equal(values, again) {
			t.Fatalf("%q, then %q", values, again)
		}
	})
}

func FuzzPostingsPage(f *testing.F) {
	var scratch []byte
	page := appendPostings(nil, []uint32{0, 1, 2, 3, 1000, 1001}, &scratch)
	page = appendPostings(page, []uint32{5, 90, 170}, &scratch)
	page = appendPostings(page, []uint32{1, 3, 5, 7, 8, 9, 11}, &scratch)
	f.Add(page)
	f.Fuzz(func(t *testing.T, b []byte) {
		const series = 1 << 16
		p, err := decodePostingsPage(b)
		if err != nil {
			return
		}
		for i := range p.bodies {
			bm := roaring.New()
			if p.addTo(bm, i, series) != nil || bm.IsEmpty() {
				continue
			}
			if bm.Maximum() >= series {
				t.Fatalf("ordinal %d", bm.Maximum())
			}
			again, err := decodePostingsPage(appendPostings(nil, bm.ToArray(), &scratch))
			must(t, err)
			other := roaring.New()
			must(t, again.addTo(other, 0, series))
			if !bm.Equals(other) {
				t.Fatalf("%v, then %v", bm, other)
			}
		}
	})
}

func FuzzSeriesPage(f *testing.F) {
	var p seriesPage
	p.add([]uint32{0, 1, 2}, []uint32{0, 999, 5})
	p.add([]uint32{0, 2}, []uint32{2, 1 << 19})
	p.add([]uint32{0, 1, 2}, []uint32{1, 0, 5})
	f.Add(p.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := decodeSeriesPage(b, fuzzNames)
		if err != nil {
			return
		}
		again, err := decodeSeriesPage(p.append(nil), fuzzNames)
		must(t, err)
		for i := range p.shape {
			if a, b := p.at(i), again.at(i); !slices.Equal(a.names, b.names) || !slices.Equal(a.values, b.values) {
				t.Fatalf("series %d: %v, then %v", i, a, b)
			}
		}
	})
}

func FuzzSmallSections(f *testing.F) {
	f.Add(appendNames(nil, fuzzNames))
	f.Add(appendTenants(nil, []tenantRange{{0, 0}, {7, 3}}))
	f.Add(appendIdentityPage(nil, appendIdentity(appendIdentity(nil, model.Identity{Hi: 1, Lo: 2}), model.Identity{Hi: 3, Lo: 4})))
	f.Add(appendMetadata(nil, []MetricMetadata{{Metric: "m", Metadata: model.Metadata{Type: "gauge", Help: "h"}}}))
	f.Add(appendSeriesExemplars(nil, 0, []model.Exemplar{{T: 5, V: 1, Labels: labels.FromStrings("a", "b")}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if names, err := decodeNames(b, 1<<40); err == nil {
			if _, err := decodeNames(appendNames(nil, names), 1<<40); err != nil {
				t.Fatal(err)
			}
		}
		if ts, err := decodeTenants(b, 1<<20); err == nil {
			if again, err := decodeTenants(appendTenants(nil, ts), 1<<20); err != nil || !slices.Equal(ts, again) {
				t.Fatal(ts, again, err)
			}
		}
		if ids, err := decodeIdentities(b); err == nil {
			var again []byte
			for _, id := range ids {
				again = appendIdentity(again, id)
			}
			if !bytes.Equal(appendIdentityPage(nil, again), b) {
				t.Fatal(ids)
			}
		}
		if ms, err := decodeMetadata(b); err == nil {
			if again, err := decodeMetadata(appendMetadata(nil, slices.Clone(ms))); err != nil || !slices.Equal(ms, again) {
				t.Fatal(ms, again, err)
			}
		}
		_, _ = decodeExemplarPage(b, 0)
		_ = checkHeader(b, blockVersion)
	})
}

func TestPostingsAreReadAsWritten(t *testing.T) {
	rnd := newRand(t)
	var scratch, page []byte
	var lists [][]uint32
	forms := map[postingsForm]bool{}
	for range 200 {
		ords := randomOrds(rnd, 1<<20)
		lists = append(lists, ords)
		page = appendPostings(page, ords, &scratch)
	}
	p, err := decodePostingsPage(page)
	must(t, err)
	for i, want := range lists {
		bm := roaring.New()
		must(t, p.addTo(bm, i, 1<<20))
		if !slices.Equal(bm.ToArray(), want) {
			t.Fatalf("list %d as %v differs", i, p.forms[i])
		}
		forms[p.forms[i]] = true
	}
	if len(forms) != int(postingsFormEnd) {
		t.Errorf("only forms %v occur", forms)
	}
}

func TestDictionariesAreReadAsWritten(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	set := map[string]bool{}
	for range 5000 {
		b := make([]byte, 1+rnd.IntN(20))
		for i := range b {
			b[i] = "abc\x00\xff"[rnd.IntN(5)]
		}
		set[string(b)] = true
	}
	values := sortedKeys(set)
	var again []string
	for rest := values; len(rest) > 0; {
		page, n := appendDictionaryPage(nil, rest)
		part, err := decodeDictionaryPage(page)
		must(t, err)
		again, rest = append(again, part...), rest[n:]
	}
	if !slices.Equal(values, again) {
		t.Error("values differ")
	}
}
