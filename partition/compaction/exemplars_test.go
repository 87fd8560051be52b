package compaction

import (
	"slices"
	"testing"
	"tsdb/internal/model"
)

func TestMergeBoundsExemplars(t *testing.T) {
	var es []model.Exemplar
	for i := range 10 {
		es = append(es, model.Exemplar{T: int64(i / 2), V: float64(i % 4 / 2)})
	}
	if got := compactExemplars(slices.Clone(es)); len(got) != 5 {
		t.Errorf("of ten, two equal each, %d are left", len(got))
	}
}
