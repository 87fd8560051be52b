package block

import (
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
	"tsdb/internal/objstore"
	"tsdb/internal/vfs"
)

// A block that its reader would refuse is not finished.
func TestWriterRefusesWhatItsReaderWould(t *testing.T) {
	var many labels.ScratchBuilder
	for i := range model.MaxExemplarLabels + 1 {
		many.Add(fmt.Sprintf("l%05d", i), "v")
	}
	long := strings.Repeat("x", maxLabelBytes-1)
	for limit, write := range map[string]func(w *Writer) error{
		"limit of 1024": func(w *Writer) error {
			return w.Exemplars([]model.Exemplar{{T: 1, Labels: many.Labels()}})
		},
		"limit of 16777215": func(w *Writer) error { return w.Metadata(0, "m", model.Metadata{Help: long + "xx"}) },
		"limit of 67108864": func(w *Writer) error {
			e := model.Exemplar{T: 1, Labels: labels.FromStrings("a", long)}
			return w.Exemplars([]model.Exemplar{e, e, e, e, e})
		},
	} {
		w, err := Create(objstore.NewDir(vfs.NewMem(), "d"), Meta{Key: SpanningKey(L0), MinGen: 1, MaxGen: 1}, WriterOptions{})
		must(t, err)
		must(t, w.Series(0, model.Identity{}, labels.FromStrings("__name__", "m")))
		must(t, w.Samples(&model.Samples{T: []int64{1}, V: []float64{1}}))
		_ = write(w)
		if _, err := w.Finish(); err == nil || !strings.Contains(err.Error(), limit) {
			t.Errorf("%.200v instead of %s", err, limit)
		}
	}
}
