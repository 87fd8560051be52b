package log

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// The strategy of all targets here: whatever the bytes, a decoder returns
// ErrCorrupt or values; values are encoded and decoded again and must not
// change. Memory is bounded by the checks of counts against the bytes left.

func corruptOrNil(t *testing.T, err error) (ok bool) {
	if err != nil && !errors.Is(err, ErrCorrupt) {
		t.Fatalf("error of another class: %v", err)
	}
	return err == nil
}

func FuzzDecodeSamples(f *testing.F) {
	f.Add(AppendSamples(nil, []uint32{1, 5, 3}, []int64{7, 7, 9}, []float64{1, 2, 3}, []int64{0, 4, 4}))
	f.Add(AppendSamples(nil, []uint32{1, 2}, []int64{7, 7}, []float64{1, 2}, nil))
	f.Fuzz(func(t *testing.T, src []byte) {
		var a, b SampleColumns
		if !corruptOrNil(t, DecodeSamples(src, &a)) {
			return
		}
		enc := AppendSamples(nil, a.Slots, a.T, a.V, a.ST)
		if err := DecodeSamples(enc, &b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(enc, AppendSamples(nil, b.Slots, b.T, b.V, b.ST)) {
			t.Fatal("changed by a round trip")
		}
	})
}

func FuzzDecodeHistograms(f *testing.F) {
	f.Add(encoded(AppendHistograms(nil, []uint32{3, 1, 2, 9, 9}, []int64{5, 5, 5, 5, 5}, nil, testHistograms())))
	f.Fuzz(func(t *testing.T, src []byte) {
		var a, b HistogramColumns
		if !corruptOrNil(t, DecodeHistograms(src, &a)) {
			return
		}
		enc := encoded(AppendHistograms(nil, a.Slots, a.T, a.ST, a.H))
		if err := DecodeHistograms(enc, &b); err != nil {
			t.Fatal(err)
		}
		for i := range a.H {
			if !a.H[i].Equal(b.H[i]) {
				t.Fatalf("histogram %d: %v became %v", i, a.H[i], b.H[i])
			}
		}
	})
}

func FuzzDecodeExemplars(f *testing.F) {
	f.Add(encoded(AppendExemplars(nil, []uint32{2, 1}, []model.Exemplar{{T: 1, V: 2, Labels: labels.FromStrings("a", "b")}, {}})))
	f.Fuzz(func(t *testing.T, src []byte) {
		var a, b ExemplarColumns
		if !corruptOrNil(t, DecodeExemplars(src, &a)) {
			return
		}
		if err := DecodeExemplars(encoded(AppendExemplars(nil, a.Slots, a.E)), &b); err != nil {
			t.Fatal(err)
		}
		for i := range a.E {
			if !a.E[i].Equal(b.E[i]) {
				t.Fatalf("exemplar %d: %v became %v", i, a.E[i], b.E[i])
			}
		}
	})
}

func FuzzDecodeSeries(f *testing.F) {
	f.Add(encoded(AppendSeries(nil, fleetSeries(5))))
	f.Fuzz(func(t *testing.T, src []byte) {
		var a, b []SeriesDef
		size := 0
		if !corruptOrNil(t, DecodeSeries(src, func(d SeriesDef) error {
			if size += int(d.Labels.ByteSize()); size > 1<<26 {
				return ErrCorrupt // a small payload may say the same large label many times
			}
			a = append(a, d)
			return nil
		})) {
			return
		}
		if err := DecodeSeries(encoded(AppendSeries(nil, a)), func(d SeriesDef) error { b = append(b, d); return nil }); err != nil {
			t.Fatal(err)
		}
		for i := range a {
			if a[i].Slot != b[i].Slot || a[i].ID != b[i].ID || !labels.Equal(a[i].Labels, b[i].Labels) {
				t.Fatalf("definition %d: %v became %v", i, a[i], b[i])
			}
		}
		var prev []labels.Label
		if err := DecodeDefinitions(src, func(d *Definition) error {
			for i, at := range d.Same {
				if at >= 0 && prev[at] != d.Labels[i] {
					t.Fatalf("label %d is %v, not the same as %v before", i, d.Labels[i], prev[at])
				}
			}
			prev = slices.Clone(d.Labels)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func FuzzDecodeMetadata(f *testing.F) {
	f.Add(AppendMetadata(nil, map[string]model.Metadata{"up": {Type: "gauge", Help: "h"}, "b": {}}))
	f.Fuzz(func(t *testing.T, src []byte) {
		a, b := map[string]model.Metadata{}, map[string]model.Metadata{}
		if !corruptOrNil(t, DecodeMetadata(src, func(n string, m model.Metadata) error { a[n] = m; return nil })) {
			return
		}
		if err := DecodeMetadata(AppendMetadata(nil, a), func(n string, m model.Metadata) error { b[n] = m; return nil }); err != nil {
			t.Fatal(err)
		}
		for n := range a {
			if a[n] != b[n] {
				t.Fatalf("%q: %v became %v", n, a[n], b[n])
			}
		}
	})
}

func FuzzDecodeDeletion(f *testing.F) {
	f.Add(encoded(AppendDeletion(nil, 300, Tombstone{Range: model.TimeRange{Min: -5, Max: 9}, Matchers: []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchRegexp, "a", "b.*|c")}})))
	f.Add(AppendDeletionEnd(nil, 300))
	f.Fuzz(func(t *testing.T, src []byte) {
		if number, a, err := DecodeDeletion(src); corruptOrNil(t, err) {
			if n, b, err := DecodeDeletion(encoded(AppendDeletion(nil, number, a))); err != nil || n != number || b.Range != a.Range || len(b.Matchers) != len(a.Matchers) {
				t.Fatalf("%d %v became %d %v, %v", number, a, n, b, err)
			}
		}
		if number, err := DecodeDeletionEnd(src); corruptOrNil(t, err) {
			if n, err := DecodeDeletionEnd(AppendDeletionEnd(nil, number)); err != nil || n != number {
				t.Fatalf("%d became %d, %v", number, n, err)
			}
		}
	})
}

func FuzzDecodeTombstone(f *testing.F) {
	f.Add(encoded(AppendTombstone(nil, Tombstone{Range: model.TimeRange{Min: -5, Max: 9}, Matchers: []*labels.Matcher{
		labels.MustNewMatcher(labels.MatchRegexp, "a", "b.*|c")}})))
	f.Fuzz(func(t *testing.T, src []byte) {
		a, err := DecodeTombstone(src)
		if !corruptOrNil(t, err) {
			return
		}
		if b, err := DecodeTombstone(encoded(AppendTombstone(nil, a))); err != nil || b.Range != a.Range || len(b.Matchers) != len(a.Matchers) {
			t.Fatalf("%v became %v, %v", a, b, err)
		}
	})
}
