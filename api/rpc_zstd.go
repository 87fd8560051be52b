package api

import (
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"
	"google.golang.org/grpc/encoding"
)

// Clients may compress with zstd, as the OpenTelemetry collector does, besides gRPC's
// own gzip. gRPC bounds what is read of a message.
func init() { encoding.RegisterCompressor(new(rpcZstd)) }

// maxRPCZstdWindow bounds the memory of a decoder: a window larger than a message is of
// no use.
const maxRPCZstdWindow = 8 << 20

// rpcZstd implements encoding.Compressor. It is safe for concurrent use.
type rpcZstd struct {
	readers sync.Pool // of *rpcZstdReader
	writers sync.Pool // of *rpcZstdWriter
}

// Name implements encoding.Compressor.
func (*rpcZstd) Name() string { return "zstd" }

// Decompress implements encoding.Compressor.
func (c *rpcZstd) Decompress(src io.Reader) (io.Reader, error) {
	r, _ := c.readers.Get().(*rpcZstdReader)
	if r != nil {
		if err := r.Reset(src); err != nil {
			return nil, err
		}
		return r, nil
	}
	d, err := zstd.NewReader(src, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxRPCZstdWindow))
	if err != nil {
		return nil, err
	}
	return &rpcZstdReader{Decoder: d, from: c}, nil
}

// rpcZstdReader is a decoder that returns to its pool at the end of a message.
type rpcZstdReader struct {
	*zstd.Decoder
	from *rpcZstd
}

func (r *rpcZstdReader) Read(b []byte) (int, error) {
	if r.from == nil {
		return 0, io.EOF
	}
	n, err := r.Decoder.Read(b)
	if err == io.EOF {
		r.from.readers.Put(&rpcZstdReader{Decoder: r.Decoder, from: r.from})
		r.from = nil
	}
	return n, err
}

// Compress implements encoding.Compressor. Answers are small.
func (c *rpcZstd) Compress(dst io.Writer) (io.WriteCloser, error) {
	w, _ := c.writers.Get().(*rpcZstdWriter)
	if w != nil {
		w.Reset(dst)
		return w, nil
	}
	e, err := zstd.NewWriter(dst, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(64<<10))
	if err != nil {
		return nil, err
	}
	return &rpcZstdWriter{Encoder: e, from: c}, nil
}

// rpcZstdWriter is an encoder that returns to its pool when it is closed.
type rpcZstdWriter struct {
	*zstd.Encoder
	from *rpcZstd
}

func (w *rpcZstdWriter) Close() error {
	err := w.Encoder.Close()
	w.from.writers.Put(w)
	return err
}
