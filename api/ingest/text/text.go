// Package text is the door for samples in the text format of Prometheus and in
// OpenMetrics: /api/v1/import/prometheus, the path of VictoriaMetrics. It also takes
// protobuf messages, as client libraries push them. Text is stored piece by piece
// while it arrives. The series of a line is looked up by the
// bytes that name it, which are parsed only if they are new:
//
//	http_requests_total{method="post",code="200"} 1027 1395066363000 # {trace_id="a"} 1
//	└──────────────── alias ───────────────────┘  value time          exemplar
//
// Types, helps and units become metadata. In OpenMetrics the value of a series
// _created is the start timestamp of the other series of its point.
package text

import (
	"bytes"
	"context"
	"net/http"
	"strings"

	"tsdb/api/ingest/door"
)

// Path is the path of the door.
const Path = "/api/v1/import/prometheus"

// DoorName is the name of the door in metrics.
const DoorName = "text"

// Handler serves the door. It is safe for concurrent use.
type Handler struct {
	shared   *door.Shared
	door     *door.Door[*decoder]
	messages *door.Door[*messages]
	markers  *door.Door[*markers]

	metadata door.MetadataCache
}

// New returns a handler.
func New(s *door.Shared) *Handler {
	h := &Handler{shared: s}
	h.door = door.New(s, DoorName, door.Text, func() *decoder { return &decoder{metadata: &h.metadata} })
	h.messages = door.New(s, DoorName, door.MetricFamilies, func() *messages { return new(messages) })
	h.markers = door.New(s, DoorName, door.Text, func() *markers { return new(markers) })
	return h
}

// Register registers the endpoint.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST "+Path, h.write)
	mux.HandleFunc("PUT "+Path, h.write)
}

func (h *Handler) write(w http.ResponseWriter, r *http.Request) {
	var o door.Outcome
	h.shared.Answer(w, DoorName, &o, h.store(w, r, &o))
}

// store stores the body of a request of the door.
func (h *Handler) store(w http.ResponseWriter, r *http.Request, o *door.Outcome) error {
	extra, err := door.ExtraLabels(r)
	if err != nil {
		return err
	}
	now, err := h.shared.DefaultTime(r)
	if err != nil {
		return err
	}
	return h.Store(w, r, Push{Labels: extra, Now: now}, o)
}

// Push says how a body is stored.
type Push struct {
	Labels []door.Label // added to all series
	Now    int64        // time of samples without one, Unix milliseconds
	Record *Record      // of the series of the body; nil = none
}

// Store stores the body of a request, in any format that its content type names, and
// adds the result to o. After an error a part of it may be stored.
func (h *Handler) Store(w http.ResponseWriter, r *http.Request, p Push, o *door.Outcome) error {
	if isProtobuf(r) {
		if err := h.shared.Ready(); err != nil {
			return err
		}
		return h.storeMessages(r.Context(), w, r, p, o)
	}
	pieces, err := h.shared.OpenPieces(w, r)
	if err != nil {
		return err
	}
	defer pieces.Close()
	openMetrics := isOpenMetrics(r)
	if openMetrics {
		pieces.Cut = cutPoints
	}
	var f families
	return door.StorePieces(r.Context(), h.door, pieces, o, func(q *door.Request[*decoder], lines []byte) error {
		f.next()
		p.Record.keep()
		h.prepare(q, lines, p, &f)
		q.Decoder.setOpenMetrics(openMetrics)
		return nil
	})
}

// StoreLines stores lines in the text format that no client has sent.
func (h *Handler) StoreLines(ctx context.Context, lines []byte, p Push) error {
	q, err := h.door.Acquire()
	if err != nil {
		return err
	}
	defer q.Release()
	h.prepare(q, lines, p, new(families))
	_, err = q.Store(ctx)
	return err
}

func (h *Handler) prepare(q *door.Request[*decoder], lines []byte, p Push, f *families) {
	q.AddLabels(p.Labels)
	d := q.Decoder
	d.src, d.now, d.families, d.record = lines, p.Now, f, p.Record
	d.setOpenMetrics(false)
}

// isOpenMetrics reports whether the content type names OpenMetrics. Any other type
// stands for Prometheus' format.
func isOpenMetrics(r *http.Request) bool {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.EqualFold(strings.TrimSpace(media), "application/openmetrics-text")
}

// cutPoints returns where to end a piece so that no point is divided: before the
// comments of its last family, or if that is long, before its last point.
func cutPoints(lines []byte) int {
	if n := lastComments(lines); n > 0 {
		return n
	}
	end := len(lines)
	for next := lineBefore(lines, end); ; {
		end -= len(next)
		line := lineBefore(lines, end)
		if end <= len(lines)/2 {
			return len(lines)
		}
		if !sameLinePoint(line, next) {
			return end
		}
		next = line
	}
}

// lastComments returns where the last comments of the second half of lines begin, 0 if
// there are none.
func lastComments(lines []byte) int {
	half, at := len(lines)/2, 0
	for from := max(half, 1); ; {
		n := bytes.IndexByte(lines[from:], '#')
		if n < 0 {
			break
		}
		if from += n; lines[from-1] == '\n' {
			at = from
		}
		from++
	}
	for at > half {
		line := lineBefore(lines, at)
		if len(line) == 0 || line[0] != '#' {
			break
		}
		at -= len(line)
	}
	return at
}

// lineBefore returns the line that ends at a byte, with its newline.
func lineBefore(b []byte, end int) []byte {
	if end == 0 {
		return nil
	}
	return b[bytes.LastIndexByte(b[:end-1], '\n')+1 : end]
}

// sameLinePoint reports whether a line may be a part of the same point as the next one. A
// point has no series twice.
func sameLinePoint(line, next []byte) bool {
	line, next = trim(bytes.TrimSuffix(line, newline)), trim(bytes.TrimSuffix(next, newline))
	i, j := seriesEnd(line), seriesEnd(next)
	return i > 0 && j > 0 && !bytes.Equal(line[:i], next[:j]) && samePoint(line[:i], next[:j], typeAny)
}

var newline = []byte{'\n'}
