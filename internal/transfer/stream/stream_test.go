package stream

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"

	"tsdb/internal/model"
)

// sampleRows are rows of all kinds, with values of which bits are easily lost.
func sampleRows() *model.Samples {
	s := &model.Samples{}
	for i, bits := range []uint64{0x7ff0000000000002, 0x7ff8000000000001, 0x8000000000000000, 1, 0xfff0000000000000, 0xfff8000000000123} {
		s.Append(int64(1000+i*15), 0, math.Float64frombits(bits), model.Histogram{})
	}
	s.Append(1200, 900, 1.5, model.Histogram{})
	h := &histogram.Histogram{
		Schema: 2, Count: 4, Sum: 9, ZeroThreshold: 1e-9, ZeroCount: 1,
		PositiveSpans: []histogram.Span{{Offset: 3, Length: 2}}, PositiveBuckets: []int64{1, 1},
	}
	s.Append(1300, 900, 0, model.Histogram{Int: h})
	s.Append(1400, 0, 0, model.Histogram{Float: h.ToFloat(nil)})
	s.Append(100, 0, 7, model.Histogram{}) // times need not rise
	return s
}

func written(t testing.TB) []byte {
	var b bytes.Buffer
	w, err := NewWriter(&b)
	must(t, err)
	must(t, w.Samples(labels.FromStrings("__name__", "m", "a", "b"), sampleRows()))
	must(t, w.Exemplar(model.Exemplar{T: 1300, V: -0.5, Labels: labels.FromStrings("trace_id", "x")}))
	must(t, w.Metadata("m", model.Metadata{Type: "histogram", Help: "of a test", Unit: "seconds"}))
	must(t, w.Close())
	if int64(b.Len()) != w.Written() {
		t.Errorf("%d bytes, Written says %d", b.Len(), w.Written())
	}
	return b.Bytes()
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestStreamKeepsEverything(t *testing.T) {
	r, err := NewReader(bytes.NewReader(written(t)))
	must(t, err)
	f, err := r.Next()
	must(t, err)
	want := sampleRows()
	if f.Labels.String() != `{__name__="m", a="b"}` || f.Samples.Len() != want.Len() {
		t.Fatalf("labels %s, %d rows", f.Labels, f.Samples.Len())
	}
	for i := range want.T {
		if !f.Samples.EqualAt(i, want, i) {
			t.Errorf("row %d differs", i)
		}
	}
	f, err = r.Next()
	must(t, err)
	if f.Exemplar == nil || f.Exemplar.T != 1300 || f.Exemplar.V != -0.5 || f.Exemplar.Labels.Get("trace_id") != "x" || f.Labels.Get("a") != "b" {
		t.Errorf("exemplar %+v", f.Exemplar)
	}
	f, err = r.Next()
	must(t, err)
	if f.Metric != "m" || f.Metadata != (model.Metadata{Type: "histogram", Help: "of a test", Unit: "seconds"}) {
		t.Errorf("metadata %+v", f)
	}
	if _, err = r.Next(); err != io.EOF {
		t.Errorf("end: %v", err)
	}
}

func TestLongSeriesTakeSeveralFrames(t *testing.T) {
	var s model.Samples
	for i := range 100_000 {
		s.Append(int64(i), 0, float64(i), model.Histogram{})
	}
	var b bytes.Buffer
	w, err := NewWriter(&b)
	must(t, err)
	must(t, w.Samples(labels.FromStrings("__name__", "m"), &s))
	must(t, w.Close())
	r, err := NewReader(&b)
	must(t, err)
	n := 0
	for {
		f, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		for i := range f.Samples.T {
			if !f.Samples.EqualAt(i, &s, n) {
				t.Fatalf("row %d differs", n)
			}
			n++
		}
	}
	if n != s.Len() {
		t.Errorf("%d rows", n)
	}
}

// A stream that breaks off anywhere, or has another byte anywhere, is no stream.
func TestBrokenStreamsAreNoticed(t *testing.T) {
	whole := written(t)
	read := func(b []byte) error {
		r, err := NewReader(bytes.NewReader(b))
		for err == nil {
			_, err = r.Next()
		}
		return err
	}
	for n := range len(whole) {
		if err := read(whole[:n]); !errors.Is(err, ErrCorrupt) {
			t.Errorf("cut at %d: %v", n, err)
		}
		b := bytes.Clone(whole)
		b[n] ^= 0x10
		if err := read(b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("another byte at %d: %v", n, err)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add(written(f))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b))
		for err == nil {
			var frame Frame
			if frame, err = r.Next(); err == nil && frame.Samples != nil && frame.Samples.Len() == 0 {
				t.Error("samples without rows")
			}
		}
		// The checksum keeps most inputs out: the decoder sees them without it.
		if len(b) > 0 {
			if frame, err := (&Reader{}).decode(b); err == nil && frame.Samples != nil {
				var out bytes.Buffer
				w, _ := NewWriter(&out)
				must(t, w.Samples(frame.Labels, frame.Samples))
			}
		}
	})
}
