// Package jsonlines is the door for samples as lines of JSON: /api/v1/import, in
// VictoriaMetrics' form (package internal/transfer/jsonl). A body is stored piece by
// piece while it arrives, so that it may be longer than memory; each piece goes through
// the log like any other write.
package jsonlines

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"

	"tsdb/api/ingest/door"
	"tsdb/api/reqbody"
	"tsdb/storage"
)

const (
	doorName = "json_lines"
	// pieceBytes is the length of the lines that are stored at once.
	pieceBytes = 2 << 20
	// stallLimit bounds the time between two reads of a body.
	stallLimit = 30 * time.Second
)

// Handler serves the door. It is safe for concurrent use.
type Handler struct {
	shared *door.Shared
	door   *door.Door[*decoder]
}

// New returns a handler.
func New(s *door.Shared) *Handler {
	return &Handler{shared: s, door: door.New(s, doorName, door.JSONLines, func() *decoder { return new(decoder) })}
}

// Register registers the endpoint.
func (h *Handler) Register(mux *http.ServeMux) {
	mux.HandleFunc("POST /api/v1/import", h.write)
	mux.HandleFunc("PUT /api/v1/import", h.write)
}

// outcome is the result of a request so far.
type outcome struct {
	written, refused int
	rejected         storage.Rejections
}

func (h *Handler) write(w http.ResponseWriter, r *http.Request) {
	var o outcome
	err := h.store(w, r, &o)
	switch {
	case err != nil:
		status := h.shared.Status(err)
		if status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", door.RetryAfter)
		}
		text := err.Error()
		if o.written > 0 {
			text += fmt.Sprintf(" (%d samples before it are stored; sending them again changes nothing)", o.written)
		}
		http.Error(w, text, status)
	case o.refused > 0:
		http.Error(w, door.Summary(o.written, o.refused, o.rejected.List()), http.StatusBadRequest)
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

// store stores the body.
func (h *Handler) store(w http.ResponseWriter, r *http.Request, o *outcome) error {
	if err := h.shared.Ready(); err != nil {
		return err
	}
	charge := h.shared.Budget.NewCharge()
	defer charge.Release()
	if err := charge.Take(r.Context(), pieceBytes*(1+door.DecodedCost)); err != nil {
		return err
	}
	body, err := reader(w, r)
	if err != nil {
		return err
	}
	piece := make([]byte, 0, pieceBytes)
	in := bufio.NewReaderSize(body, 64<<10)
	for {
		piece, err = h.fill(r.Context(), in, piece[:0], charge)
		if len(piece) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			if err := h.storePiece(r.Context(), piece, o); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
	}
}

// fill reads whole lines, of pieceBytes or more, into piece. At the end of the body it
// returns io.EOF with the rest.
func (h *Handler) fill(ctx context.Context, in *bufio.Reader, piece []byte, charge *reqbody.Charge) ([]byte, error) {
	for {
		part, err := in.ReadSlice('\n')
		if need := len(piece) + len(part); need > cap(piece) {
			if int64(need) > h.shared.Limit.Bytes {
				return nil, h.shared.Limit.Exceeded("a line has", int64(need))
			}
			if err := charge.Take(ctx, int64(need)*(1+door.DecodedCost)); err != nil {
				return nil, err
			}
			grown := make([]byte, len(piece), 2*need)
			copy(grown, piece)
			piece = grown
		}
		piece = append(piece, part...)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF):
			return piece, io.EOF
		case err != nil:
			return nil, &door.RequestError{Text: "read body: " + err.Error(), Err: err}
		case len(piece) >= pieceBytes-64<<10:
			return piece, nil
		}
	}
}

func (h *Handler) storePiece(ctx context.Context, lines []byte, o *outcome) error {
	q, err := h.door.Acquire()
	if err != nil {
		return err
	}
	defer q.Release()
	q.Decoder.src = lines
	receipt, err := q.Store(ctx)
	if err != nil {
		return err
	}
	o.written += receipt.Floats + receipt.Histograms
	o.refused += receipt.RejectedCount()
	for _, x := range receipt.Rejected {
		o.rejected.Add(x.Reason, x.Series, x.T, x.Detail, x.Count)
	}
	return nil
}

// reader returns the decompressed body.
func reader(w http.ResponseWriter, r *http.Request) (io.Reader, error) {
	body := &stallReader{r: r.Body, control: http.NewResponseController(w)}
	switch encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding"))); encoding {
	case "", "identity":
		in := bufio.NewReaderSize(body, 64<<10)
		if head, _ := in.Peek(2); !bytes.Equal(head, []byte{0x1f, 0x8b}) {
			return in, nil
		}
		return nil, &door.RequestError{Text: `the body is compressed with gzip, but no header says so: send it with "Content-Encoding: gzip"`}
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, &door.RequestError{Text: "decompress gzip body: " + err.Error(), Err: err}
		}
		return z, nil
	default:
		return nil, &door.RequestError{Text: fmt.Sprintf("unsupported content encoding %q, use gzip or none", door.Clip(encoding, 40))}
	}
}

// stallReader ends a body that stalls.
type stallReader struct {
	r       io.Reader
	control *http.ResponseController
}

func (s *stallReader) Read(p []byte) (int, error) {
	_ = s.control.SetReadDeadline(time.Now().Add(stallLimit)) // not all connections have one
	return s.r.Read(p)
}
