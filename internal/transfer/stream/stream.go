// Package stream is the form in which `tsdb import` sends samples to a running server:
// the body of POST /api/v1/admin/import.
//
//	magic "tsdbimp1" (8)
//	frame:  uvarint length of the payload (1 to MaxFrame) │ payload │ CRC-32C of the payload (4)
//	…
//	end:    uvarint 0 │ number of frames (8)
//
//	payload 1, samples:
//	  u8 1 │ uvarint labels, of each name and value as uvarint length, bytes
//	  uvarint rows, 1 to 65,536 │ uvarint bytes of times │ column of times
//	  uvarint bytes of values │ column of floats, 0 where a histogram is
//	  uvarint bytes of starts │ column of start timestamps, none if no row has one
//	  uvarint histograms │ their rows, as uvarint distances │ uvarint bytes │ column of histograms
//	payload 2, metadata of a metric:
//	  u8 2 │ metric, type, unit, help, each as uvarint length, bytes
//	payload 3, an exemplar of the series of the frame before:
//	  u8 3 │ varint time │ value (8) │ uvarint labels as above
//
// Fixed-size numbers are little-endian, columns those of package encoding. A body
// without its end is incomplete. Equal samples give equal bytes, floats are kept bit
// for bit. The magic has the version; another one is refused.
package stream

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/prometheus/prometheus/model/labels"

	"tsdb/encoding"
	"tsdb/internal/model"
)

const magic = "tsdbimp1"

// MaxFrame bounds the payload of a frame.
const MaxFrame = 16 << 20

// Limits of a payload.
const (
	maxLabels = 1 << 10
	maxString = 1 << 20
)

// Kinds of payloads.
const (
	kindSamples  = 1
	kindMetadata = 2
	kindExemplar = 3
)

// ErrCorrupt is returned for bytes that a Writer does not write.
var ErrCorrupt = errors.New("corrupt import stream")

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// Frame is one decoded frame.
type Frame struct {
	Labels   labels.Labels   // of samples and exemplars
	Samples  *model.Samples  // nil in a frame of another kind; valid until the next frame
	Exemplar *model.Exemplar // of Labels
	Metric   string          // whose metadata it is, empty in a frame of another kind
	Metadata model.Metadata
}

// Writer writes a stream. It belongs to one goroutine.
type Writer struct {
	w       io.Writer
	frames  uint64
	written int64
	payload []byte
	frame   []byte
	column  []byte
	hint    encoding.FloatHint
	hists   []model.Histogram
}

// NewWriter returns a writer that has written the magic.
func NewWriter(w io.Writer) (*Writer, error) {
	n, err := io.WriteString(w, magic)
	return &Writer{w: w, written: int64(n)}, err
}

// Written returns the bytes written so far.
func (w *Writer) Written() int64 { return w.written }

// Samples writes samples of a series.
func (w *Writer) Samples(ls labels.Labels, s *model.Samples) error {
	const rows = 1 << 14 // a histogram may take a KiB
	for i := 0; i < s.Len(); i += rows {
		part := s.Slice(i, min(i+rows, s.Len()))
		if err := w.samples(ls, &part); err != nil {
			return err
		}
	}
	return nil
}

func (w *Writer) samples(ls labels.Labels, s *model.Samples) error {
	p := append(w.payload[:0], kindSamples)
	p = appendLabels(p, ls)
	p = binary.AppendUvarint(p, uint64(s.Len()))
	w.column = encoding.AppendTimestamps(w.column[:0], s.T, encoding.Fast)
	p = encoding.AppendBytes(p, w.column)
	w.column, w.hint = encoding.AppendFloats(w.column[:0], s.V, encoding.Fast, w.hint)
	p = encoding.AppendBytes(p, w.column)
	w.column = encoding.AppendStartTimestamps(w.column[:0], s.ST, s.T, encoding.Fast)
	p = encoding.AppendBytes(p, w.column)
	w.hists = w.hists[:0]
	for i := range s.H {
		if !s.H[i].IsZero() {
			w.hists = append(w.hists, s.H[i])
		}
	}
	p = binary.AppendUvarint(p, uint64(len(w.hists)))
	last := 0
	for i := range s.H {
		if !s.H[i].IsZero() {
			p = binary.AppendUvarint(p, uint64(i-last))
			last = i
		}
	}
	if len(w.hists) > 0 {
		w.column = encoding.AppendHistograms(w.column[:0], w.hists, encoding.Fast)
		p = encoding.AppendBytes(p, w.column)
	}
	clear(w.hists)
	if len(p) > MaxFrame && s.Len() > 1 {
		for _, part := range []model.Samples{s.Slice(0, s.Len()/2), s.Slice(s.Len()/2, s.Len())} {
			if err := w.samples(ls, &part); err != nil {
				return err
			}
		}
		return nil
	}
	return w.put(p)
}

// Metadata writes the metadata of a metric.
func (w *Writer) Metadata(metric string, m model.Metadata) error {
	p := append(w.payload[:0], kindMetadata)
	for _, s := range []string{metric, string(m.Type), m.Unit, m.Help} {
		p = encoding.AppendBytes(p, []byte(s))
	}
	return w.put(p)
}

// Exemplar writes an exemplar of the series of the last samples.
func (w *Writer) Exemplar(e model.Exemplar) error {
	p := append(w.payload[:0], kindExemplar)
	p = binary.AppendVarint(p, e.T)
	p = binary.LittleEndian.AppendUint64(p, math.Float64bits(e.V))
	return w.put(appendLabels(p, e.Labels))
}

// put writes a frame.
func (w *Writer) put(p []byte) error {
	w.payload = p
	if len(p) > MaxFrame {
		return fmt.Errorf("series of %d bytes exceeds the limit of %d", len(p), MaxFrame)
	}
	f := encoding.AppendBytes(w.frame[:0], p)
	f = binary.LittleEndian.AppendUint32(f, encoding.Checksum(p))
	w.frame = f
	n, err := w.w.Write(f)
	w.written += int64(n)
	w.frames++
	return err
}

// Close writes the end.
func (w *Writer) Close() error {
	n, err := w.w.Write(binary.LittleEndian.AppendUint64([]byte{0}, w.frames))
	w.written += int64(n)
	return err
}

func appendLabels(p []byte, ls labels.Labels) []byte {
	p = binary.AppendUvarint(p, uint64(ls.Len()))
	return model.AppendLabels(p, ls)
}

// Reader reads a stream. It belongs to one goroutine.
type Reader struct {
	r       *bufio.Reader
	frames  uint64
	payload []byte
	samples model.Samples
	hists   []model.Histogram
	builder labels.ScratchBuilder
	labels  labels.Labels // of the last samples
}

// NewReader returns a reader that has read the magic.
func NewReader(r io.Reader) (*Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	var head [len(magic)]byte
	if _, err := io.ReadFull(b, head[:]); err != nil {
		return nil, corrupt("no magic: %v", err)
	}
	if string(head[:]) != magic {
		return nil, corrupt("magic %q, want %q: the client is of another version", head, magic)
	}
	return &Reader{r: b}, nil
}

// Next returns the next frame, io.EOF at the end of the stream. Bytes that no Writer
// writes, and a stream without an end, are an ErrCorrupt.
func (r *Reader) Next() (Frame, error) {
	n, err := binary.ReadUvarint(r.r)
	switch {
	case err != nil:
		return Frame{}, corrupt("it breaks off after %d frames: %v", r.frames, err)
	case n > MaxFrame:
		return Frame{}, corrupt("frame of %d bytes exceeds the limit of %d", n, MaxFrame)
	case n == 0:
		var count [8]byte
		if _, err := io.ReadFull(r.r, count[:]); err != nil {
			return Frame{}, corrupt("it breaks off at its end: %v", err)
		}
		if want := binary.LittleEndian.Uint64(count[:]); want != r.frames {
			return Frame{}, corrupt("%d frames, the end says %d", r.frames, want)
		}
		return Frame{}, io.EOF
	}
	if err := r.fill(int(n) + 4); err != nil {
		return Frame{}, corrupt("it breaks off after %d frames: %v", r.frames, err)
	}
	p := r.payload[:n]
	if got, want := encoding.Checksum(p), binary.LittleEndian.Uint32(r.payload[n:]); got != want {
		return Frame{}, corrupt("checksum %08x of frame %d, want %08x", got, r.frames, want)
	}
	r.frames++
	f, err := r.decode(p)
	if err != nil {
		return Frame{}, fmt.Errorf("%w: frame %d: %w", ErrCorrupt, r.frames, err)
	}
	return f, nil
}

// fill reads n bytes into payload; memory grows with what arrives.
func (r *Reader) fill(n int) error {
	const step = 1 << 20
	r.payload = r.payload[:0]
	for len(r.payload) < n {
		from := len(r.payload)
		k := min(n-from, step)
		if cap(r.payload) < from+k {
			grown := make([]byte, from, min(n, max(2*cap(r.payload), from+k)))
			copy(grown, r.payload)
			r.payload = grown
		}
		r.payload = r.payload[:from+k]
		if _, err := io.ReadFull(r.r, r.payload[from:]); err != nil {
			return err
		}
	}
	return nil
}

func (r *Reader) decode(p []byte) (f Frame, err error) {
	kind, p := p[0], p[1:]
	switch kind {
	case kindSamples:
		if r.labels, p, err = r.readLabels(p); err != nil {
			return f, err
		}
		f.Labels = r.labels
		f.Samples, p, err = r.readSamples(p)
	case kindMetadata:
		var parts [4][]byte
		for i := range parts {
			if parts[i], p, err = encoding.Bytes(p, maxString); err != nil {
				return f, err
			}
		}
		f.Metric = string(parts[0])
		f.Metadata = model.Metadata{Type: string(parts[1]), Unit: string(parts[2]), Help: string(parts[3])}
		if f.Metric == "" {
			return f, errors.New("metadata of no metric")
		}
	case kindExemplar:
		f.Labels = r.labels
		f.Exemplar = &model.Exemplar{}
		if f.Exemplar.T, p, err = encoding.Varint(p); err != nil {
			return f, err
		}
		if len(p) < 8 || r.labels.IsEmpty() {
			return f, errors.New("exemplar without a value or a series")
		}
		f.Exemplar.V = math.Float64frombits(binary.LittleEndian.Uint64(p))
		f.Exemplar.Labels, p, err = r.readLabels(p[8:])
	default:
		return f, fmt.Errorf("unknown kind %d", kind)
	}
	if err == nil && len(p) > 0 {
		err = fmt.Errorf("%d bytes too many", len(p))
	}
	return f, err
}

func (r *Reader) readLabels(p []byte) (labels.Labels, []byte, error) {
	n, p, err := encoding.Uvarint(p)
	if err != nil || n > maxLabels {
		return labels.EmptyLabels(), nil, fmt.Errorf("%d labels, limit is %d: %v", n, maxLabels, err)
	}
	r.builder.Reset()
	for range n {
		var name, value []byte
		if name, p, err = encoding.Bytes(p, maxString); err != nil {
			return labels.EmptyLabels(), nil, err
		}
		if value, p, err = encoding.Bytes(p, maxString); err != nil {
			return labels.EmptyLabels(), nil, err
		}
		r.builder.Add(string(name), string(value))
	}
	return r.builder.Labels(), p, nil
}

func (r *Reader) readSamples(p []byte) (_ *model.Samples, rest []byte, err error) {
	s := &r.samples
	s.Reset()
	n, p, err := encoding.Uvarint(p)
	if err != nil || n == 0 || n > encoding.MaxValues {
		return nil, nil, fmt.Errorf("%d rows, limit is %d: %v", n, encoding.MaxValues, err)
	}
	var column []byte
	next := func() (err error) {
		column, p, err = encoding.Bytes(p, MaxFrame)
		return err
	}
	if err := next(); err != nil {
		return nil, nil, err
	}
	if s.T, err = encoding.DecodeTimestamps(s.T, column, int(n)); err != nil {
		return nil, nil, err
	}
	if err := next(); err != nil {
		return nil, nil, err
	}
	if s.V, err = encoding.DecodeFloats(s.V, column, int(n)); err != nil {
		return nil, nil, err
	}
	if err := next(); err != nil {
		return nil, nil, err
	}
	if len(column) > 0 {
		if s.ST, err = encoding.DecodeStartTimestamps(s.ST, column, s.T); err != nil {
			return nil, nil, err
		}
	}
	hists, p, err := encoding.Uvarint(p)
	if err != nil || hists > n {
		return nil, nil, fmt.Errorf("%d histograms in %d rows: %v", hists, n, err)
	}
	if hists == 0 {
		return s, p, nil
	}
	rows := make([]int, hists)
	at := uint64(0)
	for i := range rows {
		var d uint64
		if d, p, err = encoding.Uvarint(p); err != nil {
			return nil, nil, err
		}
		if at += d; d > n || at >= n || i > 0 && d == 0 {
			return nil, nil, fmt.Errorf("histogram in row %d of %d", at, n)
		}
		rows[i] = int(at)
	}
	if err := next(); err != nil {
		return nil, nil, err
	}
	clear(r.hists)
	if r.hists, err = encoding.DecodeHistograms(r.hists[:0], column, int(hists)); err != nil {
		return nil, nil, err
	}
	s.H = append(s.H, make([]model.Histogram, n)...)
	for i, row := range rows {
		s.H[row] = r.hists[i]
	}
	return s, p, nil
}
