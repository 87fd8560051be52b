package export

import (
	"bytes"
	"errors"
	"io"
	"math"
	"testing"

	"github.com/parquet-go/parquet-go"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"

	samples "tsdb/internal/model"
	"tsdb/internal/transfer/jsonl"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var specials = []uint64{0x7ff0000000000002, goNaN, 0x7ff0000000000000, 0xfff0000000000000, 1, 1 << 63, 0x3ff8000000000000}

// written returns a file with one series of special values and a histogram.
func written(t *testing.T, format string) ([]byte, map[string]int64) {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(format, &b)
	must(t, err)
	var s samples.Samples
	for i, bits := range specials {
		s.Append(int64(1500+i), 0, math.Float64frombits(bits), samples.Histogram{})
	}
	s.Append(2000, 1000, 0, samples.Histogram{Int: &histogram.Histogram{Count: 1, PositiveSpans: []histogram.Span{{Length: 1}}, PositiveBuckets: []int64{1}}})
	must(t, w.Series(labels.FromStrings("__name__", "m", "a", "b\"\n\\", "c.d", "é"), &s))
	must(t, w.Close())
	return b.Bytes(), w.Lost()
}

func TestParquetKeepsBits(t *testing.T) {
	file, lost := written(t, "parquet")
	rows, err := parquet.Read[Row](bytes.NewReader(file), int64(len(file)))
	must(t, err)
	if len(rows) != len(specials) || lost[lostHistogram] != 1 || len(lost) != 1 {
		t.Fatalf("%d rows, lost %v", len(rows), lost)
	}
	for i, r := range rows {
		if r.Name != "m" || r.Labels != `{"a":"b\"\n\\","c.d":"é"}` || r.Time.UnixMilli() != int64(1500+i) || math.Float64bits(r.Value) != specials[i] {
			t.Errorf("row %d: %+v, %x", i, r, math.Float64bits(r.Value))
		}
	}
}

func TestOpenMetricsIsReadByPrometheus(t *testing.T) {
	file, lost := written(t, "openmetrics")
	p := textparse.NewOpenMetricsParser(file, labels.NewSymbolTable())
	n := 0
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		must(t, err)
		if entry != textparse.EntrySeries {
			continue
		}
		_, ts, v := p.Series()
		var ls labels.Labels
		p.Labels(&ls)
		same := math.Float64bits(v) == specials[n] || v != v && math.IsNaN(math.Float64frombits(specials[n]))
		if ts == nil || *ts != int64(1500+n) || !same || ls.Get("c.d") != "é" || ls.Get("a") != "b\"\n\\" || ls.Get("__name__") != "m" {
			t.Errorf("sample %d: %s %v %v", n, ls, ts, v)
		}
		n++
	}
	if n != len(specials) || lost[lostHistogram] != 1 || lost[lostNaN] != 1 {
		t.Errorf("%d samples, lost %v", n, lost)
	}
}

func TestCSVAndLines(t *testing.T) {
	file, lost := written(t, "csv")
	want := "name,labels,timestamp_ms,value\n" + `m,"{""a"":""b\""\n\\"",""c.d"":""é""}",1500,NaN` + "\n"
	if !bytes.HasPrefix(file, []byte(want)) || bytes.Count(file, []byte{'\n'}) != len(specials)+1 || lost[lostHistogram] != 1 {
		t.Errorf("%s, lost %v", file, lost)
	}
	file, lost = written(t, "jsonl")
	rows := 0
	for line := range bytes.Lines(file) {
		var l jsonl.Line
		must(t, l.Split(line))
		rows += l.Rows()
	}
	if rows != len(specials)+1 || len(lost) != 0 {
		t.Errorf("%d rows, lost %v", rows, lost)
	}
	if _, err := NewWriter("xml", io.Discard); err == nil {
		t.Error("format xml was taken")
	}
}
