package doortest

import (
	"math"
	"slices"
	"testing"

	"tsdb/storage"
)

// Twice decodes a request into m twice, first with unknown series and then with
// known ones, and checks that the results agree. store decodes and commits.
func Twice(t *testing.T, m *Memory, store func() (storage.Receipt, error)) error {
	t.Helper()
	_, err := store()
	samples, histograms, exemplars, rejects := slices.Clone(m.Samples), slices.Clone(m.Histograms), slices.Clone(m.Exemplars), m.Rejects.List()
	_, again := store()
	if (err == nil) != (again == nil) {
		t.Fatalf("first %v, then %v", err, again)
	}
	if err == nil && (!EqualSamples(samples, m.Samples) || len(histograms) != len(m.Histograms) || len(exemplars) != len(m.Exemplars) || !slices.EqualFunc(rejects, m.Rejects.List(), sameRejection)) {
		t.Fatalf("known series decode differently from new ones:\n%v %v\n%v %v", samples, rejects, m.Samples, m.Rejects.List())
	}
	return err
}

func sameRejection(a, b storage.Rejection) bool { return a.Reason == b.Reason && a.Count == b.Count }

// EqualSamples reports whether two lists have the same series, times and bits.
func EqualSamples(a, b []Sample) bool {
	return slices.EqualFunc(a, b, func(x, y Sample) bool {
		return x.Series == y.Series && x.T == y.T && x.ST == y.ST && math.Float64bits(x.V) == math.Float64bits(y.V)
	})
}
