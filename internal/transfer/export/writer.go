// Package export writes samples in the formats of other programs: JSON lines, CSV,
// OpenMetrics and Parquet. Only JSON lines hold everything; each format says what it
// cannot hold, and that is counted.
package export

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/compress/zstd"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	samples "tsdb/internal/model"
	"tsdb/internal/transfer/jsonl"
)

// Formats are the names of the formats.
var Formats = []string{"jsonl", "csv", "openmetrics", "parquet"}

// A Writer writes series in one format. It belongs to one goroutine.
type Writer interface {
	// Series writes samples of a series.
	Series(ls labels.Labels, s *samples.Samples) error
	// Close writes the end. It does not close what is written to.
	Close() error
	// Lost counts what the format cannot hold, by what it is.
	Lost() map[string]int64
}

// NewWriter returns a writer of a format.
func NewWriter(format string, w io.Writer) (Writer, error) {
	b := bufio.NewWriterSize(w, 256<<10)
	base := base{out: b, lost: map[string]int64{}}
	switch format {
	case "jsonl":
		return &jsonWriter{base: base}, nil
	case "csv":
		_, err := b.WriteString("name,labels,timestamp_ms,value\n")
		return &csvWriter{base: base}, err
	case "openmetrics":
		return &textWriter{base: base}, nil
	case "parquet":
		return &parquetWriter{base: base, w: parquet.NewGenericWriter[Row](b, parquet.Compression(&zstd.Codec{Level: zstd.SpeedDefault}))}, nil
	}
	return nil, fmt.Errorf("unknown format %q, want one of %s", format, strings.Join(Formats, ", "))
}

type base struct {
	out    *bufio.Writer
	lost   map[string]int64
	buffer []byte
}

func (b *base) Lost() map[string]int64 { return b.lost }

// What formats other than JSON lines cannot hold.
const (
	lostHistogram = "native histograms"
	lostStart     = "start timestamps"
	lostNaN       = "bits of NaNs, such as stale markers"
)

// goNaN are the bits of NaN in Go.
const goNaN = 0x7ff8000000000001

// keeps reports whether a format of numbers holds row i at all, and counts what it loses.
func (b *base) keeps(s *samples.Samples, i int, bits bool) bool {
	if !s.HistogramAt(i).IsZero() {
		b.lost[lostHistogram]++
		return false
	}
	if s.StartAt(i) != 0 {
		b.lost[lostStart]++
	}
	if v := s.V[i]; v != v && !bits && math.Float64bits(v) != goNaN {
		b.lost[lostNaN]++
	}
	return true
}

type jsonWriter struct{ base }

func (w *jsonWriter) Series(ls labels.Labels, s *samples.Samples) error {
	w.buffer = jsonl.AppendSamples(w.buffer[:0], ls, s, 10_000)
	_, err := w.out.Write(w.buffer)
	return err
}

func (w *jsonWriter) Close() error { return w.out.Flush() }

// csvWriter writes a line for each sample: the metric's name, its other labels as a
// JSON object, the time and the value.
type csvWriter struct{ base }

func (w *csvWriter) Series(ls labels.Labels, s *samples.Samples) error {
	var text bytes.Buffer // the columns that all lines have in common
	names := csv.NewWriter(&text)
	_ = names.Write([]string{ls.Get(model.MetricNameLabel), otherLabels(ls)}) // to memory
	names.Flush()
	common := bytes.TrimSuffix(text.Bytes(), []byte{'\n'})
	for i, t := range s.T {
		if !w.keeps(s, i, false) {
			continue
		}
		b := append(append(w.buffer[:0], common...), ',')
		b = append(strconv.AppendInt(b, t, 10), ',')
		b = append(strconv.AppendFloat(b, s.V[i], 'g', -1, 64), '\n')
		w.buffer = b
		if _, err := w.out.Write(b); err != nil {
			return err
		}
	}
	return nil
}

func (w *csvWriter) Close() error { return w.out.Flush() }

func otherLabels(ls labels.Labels) string {
	return string(jsonl.AppendMetric(nil, ls.DropReserved(func(name string) bool { return name == model.MetricNameLabel })))
}

// textWriter writes OpenMetrics with metrics of unknown type.
type textWriter struct{ base }

func (w *textWriter) Series(ls labels.Labels, s *samples.Samples) error {
	name := appendSeries(nil, ls)
	for i, t := range s.T {
		if !w.keeps(s, i, false) {
			continue
		}
		b := append(append(w.buffer[:0], name...), ' ')
		b = strconv.AppendFloat(b, s.V[i], 'g', -1, 64)
		b = append(appendSeconds(append(b, ' '), t), '\n')
		w.buffer = b
		if _, err := w.out.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// appendSeconds appends milliseconds as seconds.
func appendSeconds(b []byte, ms int64) []byte {
	if ms < 0 {
		b, ms = append(b, '-'), -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	if rest := ms % 1000; rest != 0 {
		b = append(b, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	}
	return b
}

// appendSeries appends the series as OpenMetrics names it: names that are no
// identifiers are quoted.
func appendSeries(b []byte, ls labels.Labels) []byte {
	name := ls.Get(model.MetricNameLabel)
	plain := model.LegacyValidation.IsValidMetricName(name)
	first := true
	open := func() {
		if first {
			b = append(b, '{')
		} else {
			b = append(b, ',')
		}
		first = false
	}
	if plain {
		b = append(b, name...)
	} else {
		open()
		b = appendQuoted(b, name)
	}
	ls.Range(func(l labels.Label) {
		if l.Name == model.MetricNameLabel {
			return
		}
		open()
		if model.LegacyValidation.IsValidLabelName(l.Name) {
			b = append(b, l.Name...)
		} else {
			b = appendQuoted(b, l.Name)
		}
		b = appendQuoted(append(b, '='), l.Value)
	})
	if !first {
		b = append(b, '}')
	}
	return b
}

var escapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

func appendQuoted(b []byte, s string) []byte {
	return append(append(append(b, '"'), escapes.Replace(s)...), '"')
}

func (w *textWriter) Close() error {
	if _, err := w.out.WriteString("# EOF\n"); err != nil {
		return err
	}
	return w.out.Flush()
}

// Row is a row of a Parquet file.
type Row struct {
	Name   string    `parquet:"name,dict"`
	Labels string    `parquet:"labels,dict"` // the other labels, as a JSON object
	Time   time.Time `parquet:"timestamp,timestamp(millisecond)"`
	Value  float64   `parquet:"value"`
}

// Bounds of a Parquet file's parts, and so of the memory for them.
const (
	parquetRows     = 1 << 10 // written at once
	parquetRowGroup = 1 << 20
)

type parquetWriter struct {
	base
	w    *parquet.GenericWriter[Row]
	rows []Row
	size int // of the row group
}

func (w *parquetWriter) Series(ls labels.Labels, s *samples.Samples) error {
	name, others := ls.Get(model.MetricNameLabel), otherLabels(ls)
	for i, t := range s.T {
		if !w.keeps(s, i, true) {
			continue
		}
		w.rows = append(w.rows, Row{name, others, time.UnixMilli(t).UTC(), s.V[i]})
		if len(w.rows) == parquetRows {
			if err := w.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *parquetWriter) flush() error {
	n, err := w.w.Write(w.rows)
	w.rows = w.rows[:0]
	if w.size += n; err == nil && w.size >= parquetRowGroup {
		w.size = 0
		err = w.w.Flush()
	}
	return err
}

func (w *parquetWriter) Close() error {
	if err := w.flush(); err != nil {
		return err
	}
	if err := w.w.Close(); err != nil {
		return err
	}
	return w.out.Flush()
}
