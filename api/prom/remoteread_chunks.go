package prom

import (
	"encoding/binary"
	"hash/crc32"
	"net/http"

	"github.com/prometheus/prometheus/prompb"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// maxReadFrameBytes is the approximate maximum length of a frame of a stream. A
// frame exceeds it by at most one chunk, which has some kilobytes.
const maxReadFrameBytes = 1 << 20

// chunkStream sends a response of type STREAMED_XOR_CHUNKS. Each frame holds one
// series or a part of it, prefixed with its length as a varint and its big-endian
// CRC-32C. Up to maxReadFrameBytes of frames are buffered, so that a short response
// that meets damage can still become an error.
type chunkStream struct {
	w      http.ResponseWriter
	damage *damageReport
	sent   bool // a frame has been sent

	frame  prompb.ChunkedReadResponse
	buf    []byte // frames to be sent
	chunks chunks.Iterator
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func newChunkStream(w http.ResponseWriter, damage *damageReport) *chunkStream {
	w.Header().Set("Content-Type", "application/x-streamed-protobuf; proto=prometheus.ChunkedReadResponse")
	return &chunkStream{w: w, damage: damage, frame: prompb.ChunkedReadResponse{ChunkedSeries: []*prompb.ChunkedSeries{{}}}}
}

func (o *chunkStream) add(query int, s readSeries) error {
	o.frame.QueryIndex = int64(query)
	out := o.frame.ChunkedSeries[0]
	out.Labels, out.Chunks = prompb.FromLabels(s.Labels(), out.Labels), out.Chunks[:0]
	if s.listed {
		return o.send(s)
	}
	room := maxReadFrameBytes
	for i := range out.Labels {
		room -= out.Labels[i].Size()
	}
	left := room
	o.chunks = promstorage.NewSeriesToChunkEncoder(withoutStarts{s.Series}).Iterator(o.chunks)
	for o.chunks.Next() {
		if left <= 0 {
			if err := o.send(s); err != nil {
				return err
			}
			out.Chunks, left = out.Chunks[:0], room
		}
		c := o.chunks.At()
		out.Chunks = append(out.Chunks, prompb.Chunk{
			MinTimeMs: c.MinTime, MaxTimeMs: c.MaxTime, Type: prompb.Chunk_Encoding(c.Chunk.Encoding()), Data: c.Chunk.Bytes(),
		})
		left -= out.Chunks[len(out.Chunks)-1].Size()
	}
	if err := o.chunks.Err(); err != nil {
		return err
	}
	if len(out.Chunks) == 0 {
		return nil // blocks are selected by their whole time range
	}
	return o.send(s)
}

// send appends the frame to the buffer, and flushes the buffer if it is full.
func (o *chunkStream) send(s readSeries) error {
	n := o.frame.Size()
	b := binary.AppendUvarint(o.buf, uint64(n))
	head := len(b) + crc32.Size
	b = append(b, make([]byte, crc32.Size+n)...)
	if _, err := o.frame.MarshalToSizedBuffer(b[head:]); err != nil {
		return err
	}
	binary.BigEndian.PutUint32(b[head-crc32.Size:], crc32.Checksum(b[head:], castagnoli))
	if o.buf = b; len(b) < maxReadFrameBytes {
		return nil
	}
	if err := s.check(); err != nil {
		return err
	}
	return o.flush()
}

func (o *chunkStream) flush() error {
	if !o.sent {
		o.damage.write(o.w.Header())
	}
	o.sent = true
	_, err := o.w.Write(o.buf)
	o.buf = o.buf[:0]
	return err
}

// finish writes the last frames. The caller has checked the damage.
func (o *chunkStream) finish() error {
	trailer := o.sent
	if err := o.flush(); err != nil {
		return err
	}
	if trailer {
		o.damage.writeTrailer(o.w.Header())
	}
	return nil
}

// withoutStarts hides start timestamps, which the protocol's chunks cannot hold.
type withoutStarts struct{ promstorage.Series }

func (s withoutStarts) Iterator(old chunkenc.Iterator) chunkenc.Iterator {
	return noStarts{s.Series.Iterator(old)}
}

type noStarts struct{ chunkenc.Iterator }

func (noStarts) AtST() int64 { return 0 }
