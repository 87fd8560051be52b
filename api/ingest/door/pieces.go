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

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"tsdb/api/reqbody"
)

// PieceBytes is the length of the lines that Pieces returns at once.
const PieceBytes = 2 << 20

// pieceClasses are the lengths of buffers.
var pieceClasses = [...]int{16 << 10, 64 << 10, 256 << 10, 1 << 20, PieceBytes}

const (
	// decodedPieceCost is the memory of what is decoded from a piece, for each of its
	// bytes: the smallest sample takes four bytes of text and 32 in a batch.
	decodedPieceCost = 8
	// zstdWindow bounds the window of a zstd body.
	zstdWindow = 8 << 20
)

// Pieces reads a body of lines piece by piece while it arrives, so that it may be
// longer than memory. It belongs to one request.
type Pieces struct {
	// Cut returns the length of a piece, at most that of the whole lines it is
	// given, so that lines which belong together stay together. It is not called
	// for the last piece. 0 = all; nil = all.
	Cut func(lines []byte) int

	shared   *Shared
	stream   *reqbody.Stream
	encoding string
	in       io.Reader // decompresses
	close    func()
	buffer   []byte // charged
	class    int    // of buffer, -1 if a line is longer than any
	unread   int    // index of the first byte of buffer that has not been returned
	decoded  int64  // charged for what is decoded from the last piece
	ended    bool   // the body
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
	p := &Pieces{shared: s, stream: s.Budget.Stream(w, r), close: func() {}, class: -1}
	err := p.begin(r)
	if err != nil {
		p.Close()
		return nil, err
	}
	return p, nil
}

// begin takes the first buffer: as long as the body, if that is known, else a short one
// that grows with what arrives.
func (p *Pieces) begin(r *http.Request) error {
	encoding := strings.ToLower(strings.TrimSpace(r.Header.Get("Content-Encoding")))
	p.encoding = encoding
	length := int64(1)
	if plain := encoding == "" || encoding == "identity"; plain && r.ContentLength < PieceBytes {
		length = r.ContentLength + 1 // the last byte finds the end
	}
	if encoding == "zstd" {
		if err := p.stream.Take(r.Context(), zstdWindow); err != nil {
			return err
		}
	}
	if err := p.resize(r.Context(), classOf(int(length)), 0); err != nil {
		return err
	}
	p.unread = len(p.buffer)
	return p.open()
}

// resize replaces the buffer by one of a class, with its first n bytes.
func (p *Pieces) resize(ctx context.Context, class, n int) error {
	size := pieceClasses[class]
	if err := p.stream.Take(ctx, int64(size)); err != nil {
		return err
	}
	var next []byte
	if pooled, ok := piecePools[class].Get().(*[]byte); ok {
		next = *pooled
	} else {
		next = make([]byte, size)
	}
	copy(next, p.buffer[:n])
	p.release()
	p.buffer, p.class = next, class
	return nil
}

// release returns the buffer.
func (p *Pieces) release() {
	if buffer := p.buffer; p.class >= 0 {
		piecePools[p.class].Put(&buffer)
	}
	p.stream.Charge().Give(int64(len(p.buffer)))
	p.buffer, p.class = nil, -1
}

// open sets the reader of decompressed bytes.
func (p *Pieces) open() error {
	body := p.stream
	switch p.encoding {
	case "", "identity":
		in := bufio.NewReaderSize(body, 4096)
		p.in = in
		if head, _ := in.Peek(4); Compression(head) != "" {
			return &RequestError{Text: fmt.Sprintf("the body is compressed with %s, but no header says so: send it with \"Content-Encoding: %[1]s\"", Compression(head))}
		}
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return p.readError(err)
		}
		p.in = z
	case "zstd":
		z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(zstdWindow))
		if err != nil {
			return p.readError(err)
		}
		p.in, p.close = z, z.Close
	default:
		return &RequestError{Text: fmt.Sprintf("unsupported content encoding %q, use gzip, zstd or none", Clip(p.encoding, 40))}
	}
	return nil
}

// Close returns the memory of the pieces.
func (p *Pieces) Close() {
	p.close()
	p.release()
	p.stream.Close()
}

// Next returns the next whole lines, and io.EOF after the last. They are valid until
// the next call, and the memory of what is decoded from them is charged until then.
func (p *Pieces) Next(ctx context.Context) ([]byte, error) {
	p.stream.Charge().Give(p.decoded)
	p.decoded = 0
	lines, err := p.read(ctx)
	p.stream.Pause()
	if err != nil {
		return nil, err
	}
	cost := int64(len(lines)) * decodedPieceCost
	if err := p.stream.Charge().Take(ctx, cost); err != nil {
		return nil, err
	}
	p.decoded = cost
	return lines, nil
}

func (p *Pieces) read(ctx context.Context) ([]byte, error) {
	n := copy(p.buffer, p.buffer[p.unread:])
	p.unread = 0
	if !p.ended {
		p.stream.Resume()
	}
	for !p.ended {
		if n == len(p.buffer) {
			if p.class >= 0 && p.class < len(pieceClasses)-1 {
				if err := p.resize(ctx, p.class+1, n); err != nil {
					return nil, err
				}
				continue
			}
			if end := bytes.LastIndexByte(p.buffer, '\n') + 1; end > 0 {
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
			return nil, p.readError(err)
		}
	}
	if n == 0 {
		return nil, io.EOF
	}
	p.unread = len(p.buffer)
	return p.buffer[:n], nil
}

// readError returns the error of a body that cannot be read or decompressed.
func (p *Pieces) readError(err error) error {
	if Retryable(err) || errors.Is(err, reqbody.ErrRead) {
		return err
	}
	return corrupt(p.encoding, err)
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
	if limit := p.shared.Limit; int64(len(p.buffer)) > limit.Bytes {
		return limit.Exceeded("a line has", -1)
	}
	if err := p.stream.Take(ctx, 2*int64(len(p.buffer))); err != nil {
		return err
	}
	grown := make([]byte, 2*len(p.buffer))
	copy(grown, p.buffer)
	p.release()
	p.buffer = grown
	return nil
}
