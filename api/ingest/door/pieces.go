package door

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"tsdb/api/reqbody"
)

// PieceBytes is the length of the lines that Pieces returns at once.
const PieceBytes = 2 << 20

// pieceClasses are the lengths of buffers.
var pieceClasses = [...]int{16 << 10, 64 << 10, 256 << 10, 1 << 20, PieceBytes}

const (
	// pieceCost is the memory of a piece and of what is decoded from it, for each of
	// its bytes: the smallest sample takes four bytes of text and 32 in a batch.
	pieceCost = 9
	// zstdWindow bounds the window of a zstd body, which the piece's charge covers.
	zstdWindow = 8 << 20
	// stallLimit bounds the time between two reads of a body.
	stallLimit = 30 * time.Second
)

// Pieces reads a body of lines piece by piece while it arrives, so that it may be
// longer than memory. It belongs to one request.
type Pieces struct {
	// Cut returns the length of a piece, at most that of the whole lines it is
	// given, so that lines which belong together stay together. It is not called
	// for the last piece. 0 = all; nil = all.
	Cut func(lines []byte) int

	shared *Shared
	charge *reqbody.Charge
	in     io.Reader
	close  func()
	buffer []byte
	unread int  // index of the first byte of buffer that has not been returned
	class  int  // of buffer, unless a line is longer
	ended  bool // the body
}

// piecePools hold buffers, by class.
var piecePools [len(pieceClasses)]sync.Pool // of *[]byte

// classOf returns the class of a buffer of n bytes, at most PieceBytes.
func classOf(n int) int {
	for i, size := range pieceClasses {
		if n <= size {
			return i
		}
	}
	return len(pieceClasses) - 1
}

// OpenPieces prepares the reading of a body, which may be compressed with gzip or
// zstd. The caller closes the result.
func (s *Shared) OpenPieces(w http.ResponseWriter, r *http.Request) (*Pieces, error) {
	if err := s.Ready(); err != nil {
		return nil, err
	}
	p := &Pieces{shared: s, charge: s.Budget.NewCharge(), close: func() {}}
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	plain := encoding == "" || encoding == "identity"
	length := int64(PieceBytes)
	if n := r.ContentLength; plain && n >= 0 && n < PieceBytes {
		length = n + 1 // the last byte tells the end
	}
	p.class = classOf(int(length))
	size := pieceClasses[p.class]
	need := int64(size) + length*(pieceCost-1)
	if encoding == "zstd" {
		need += zstdWindow
	}
	if err := p.charge.Take(r.Context(), need); err != nil {
		p.charge.Release()
		return nil, err
	}
	body := &stallReader{r: r.Body, control: http.NewResponseController(w)}
	if err := p.open(body, encoding); err != nil {
		p.charge.Release()
		return nil, err
	}
	if pooled, ok := piecePools[p.class].Get().(*[]byte); ok {
		p.buffer = *pooled
	} else {
		p.buffer = make([]byte, size)
	}
	p.unread = len(p.buffer)
	return p, nil
}

// open sets the reader of decompressed bytes.
func (p *Pieces) open(body io.Reader, encoding string) error {
	switch encoding {
	case "", "identity":
		in := bufio.NewReaderSize(body, 4096)
		p.in = in
		if head, _ := in.Peek(4); Compression(head) != "" {
			return &RequestError{Text: fmt.Sprintf("the body is compressed with %s, but no header says so: send it with \"Content-Encoding: %[1]s\"", Compression(head))}
		}
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return corrupt("gzip", err)
		}
		p.in = z
	case "zstd":
		z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return corrupt("zstd", err)
		}
		p.in, p.close = z, z.Close
	default:
		return &RequestError{Text: fmt.Sprintf("unsupported content encoding %q, use gzip, zstd or none", Clip(encoding, 40))}
	}
	return nil
}

// Close returns the memory of the pieces.
func (p *Pieces) Close() {
	p.close()
	if buffer := p.buffer; len(buffer) == pieceClasses[p.class] {
		piecePools[p.class].Put(&buffer)
	}
	p.buffer = nil
	p.charge.Release()
}

// Charge returns the charge of the request.
func (p *Pieces) Charge() *reqbody.Charge { return p.charge }

// Next returns the next whole lines, and io.EOF after the last. They are valid
// until the next call.
func (p *Pieces) Next(ctx context.Context) ([]byte, error) {
	n := copy(p.buffer, p.buffer[p.unread:])
	p.unread = 0
	for !p.ended {
		if n == len(p.buffer) {
			end := bytes.LastIndexByte(p.buffer, '\n') + 1
			if end > 0 {
				return p.cut(end), nil
			}
			if err := p.grow(ctx); err != nil {
				return nil, err
			}
		}
		k, err := p.in.Read(p.buffer[n:])
		n += k
		switch {
		case errors.Is(err, io.EOF):
			p.ended = true
		case err != nil:
			return nil, &RequestError{Text: "read body: " + err.Error(), Err: err}
		}
	}
	if n == 0 {
		return nil, io.EOF
	}
	p.unread = len(p.buffer)
	return p.buffer[:n], nil
}

// cut returns the lines that end at a byte of the full buffer, or some of them.
func (p *Pieces) cut(end int) []byte {
	if p.Cut != nil {
		if n := p.Cut(p.buffer[:end]); n > 0 && n < end {
			end = n
		}
	}
	p.unread = end
	return p.buffer[:end]
}

// grow doubles the buffer for a line that does not fit into it.
func (p *Pieces) grow(ctx context.Context) error {
	size := 2 * len(p.buffer)
	if limit := p.shared.Limit; int64(len(p.buffer)) > limit.Bytes {
		return limit.Exceeded("a line has", -1)
	}
	if err := p.charge.Take(ctx, int64(size)*pieceCost); err != nil {
		return err
	}
	grown := make([]byte, size)
	copy(grown, p.buffer)
	p.buffer = grown
	return nil
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
